"""Orders over HTTP."""

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from domain.model.currency import decimals_of
from domain.model.errors import InvalidValue, OrderNotFound
from domain.model.order import LINES_MOST, QUANTITY_MOST, SKU_MOST, Order, OrderLine, OrderStatus, order_line
from domain.model.times import to_rfc3339
from entrypoints.web.bodies import read_json
from entrypoints.web.cursors import CURSOR_MOST, order_cursor, order_of
from entrypoints.web.dependencies import CreateOrder, GetOrder, ListOrders
from entrypoints.web.errors import Complaint, invalid_request
from entrypoints.web.fields import (
    STRICT,
    Amount,
    GivenAmount,
    Id,
    Instant,
    Limit,
    OneLine,
    Total,
    id_from_path,
    to_json,
)
from entrypoints.web.idempotency import PARAMETER, PROBLEMS, answer_created, created_once, key_of
from entrypoints.web.lean_route import LeanRoute
from entrypoints.web.openapi import (
    IF_NONE_MATCH,
    Page,
    answered,
    created,
    link,
    problems,
    request_body,
    tagged_answer,
)
from entrypoints.web.reading import refuse_doubled, tagged
from entrypoints.web.security import OrdersReader, OrdersWriter

PRICE_TEXT_MOST = 32

router = APIRouter(tags=["orders"], route_class=LeanRoute)

Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217.", examples=["EUR"])]
Sku = Annotated[OneLine, Field(min_length=1, max_length=SKU_MOST, examples=["apple"])]
Quantity = Annotated[int, Field(ge=1, le=QUANTITY_MOST, examples=[2])]


class NewLine(BaseModel):
    """A line of a new order."""

    model_config = STRICT

    sku: Sku
    quantity: Quantity
    unit_price: Annotated[GivenAmount, Field(max_length=PRICE_TEXT_MOST)]


class NewOrder(BaseModel):
    """What a user wants to order."""

    model_config = ConfigDict(
        **STRICT,
        json_schema_extra={
            "examples": [
                {
                    "user_id": "01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87",
                    "currency": "EUR",
                    "lines": [{"sku": "apple", "quantity": 2, "unit_price": "9.90"}],
                }
            ]
        },
    )

    user_id: UUID
    currency: Currency
    lines: Annotated[list[NewLine], Field(min_length=1, max_length=LINES_MOST)]


class OrderQuery(BaseModel):
    """Which orders, and which page of them."""

    model_config = ConfigDict(extra="forbid")

    user_id: Annotated[UUID | None, Field(description="Of this user only.")] = None
    limit: Limit = 20
    cursor: Annotated[str | None, Field(max_length=CURSOR_MOST, description="`next_cursor` of the page before.")] = None


class LineDocument(TypedDict):
    """So many pieces of one article at one price."""

    sku: str
    quantity: int
    unit_price: Amount


class OrderDocument(TypedDict):
    """An order; `placed` becomes `confirmed` once it has been handled."""

    id: UUID
    user_id: UUID
    status: OrderStatus
    currency: Annotated[str, Field(examples=["EUR"])]
    lines: list[LineDocument]
    total: Total
    created_at: Instant


class OrderPageDocument(Page):
    """Orders, newest first."""

    items: list[OrderDocument]


def order_document(order: Order) -> OrderDocument:
    """What is told about an order."""
    return {
        "id": order.id,
        "user_id": order.user_id,
        "status": order.status,
        "currency": order.currency,
        "lines": [
            {"sku": line.sku, "quantity": line.quantity, "unit_price": str(line.unit_price)} for line in order.lines
        ],
        "total": str(order.total),
        "created_at": to_rfc3339(order.created_at),
    }


def order_lines(wanted: NewOrder) -> tuple[OrderLine, ...]:
    """The lines as the domain has them; a `Problem` that lists everything the domain refuses in them."""
    currency = wanted.currency
    decimals_of(currency)
    lines: list[OrderLine] = []
    refused: list[InvalidValue] = []
    for index, line in enumerate(wanted.lines):
        try:
            lines.append(order_line(line.sku, line.quantity, line.unit_price, currency))
        except InvalidValue as error:
            refused.append(error.inside(f"/lines/{index}"))
    if refused:
        raise invalid_request(Complaint(error.pointer, error.detail) for error in refused)
    return tuple(lines)


@router.post(
    "/orders/",
    operation_id="createOrder",
    status_code=201,
    response_model=OrderDocument,
    responses={
        **created("The placed order.", {"order": link("This order.", "getOrder", id="/id")}),
        **problems("unknown-user", "storage-unavailable", *PROBLEMS, body=True),
    },
    openapi_extra=request_body(NewOrder, PARAMETER),
)
async def create_order(caller: OrdersWriter, request: Request, create: CreateOrder) -> Response:
    """Place an order. It is confirmed a moment later."""
    key = key_of(request)
    wanted = await read_json(request, NewOrder)
    lines = order_lines(wanted)
    if key is None:
        return answer_created(*_placed(await create(wanted.user_id, wanted.currency, lines, caller)))
    return await created_once(
        request,
        caller,
        key,
        operation="createOrder",
        asked=(wanted.user_id, wanted.currency, [(line.sku, line.quantity, line.unit_price.amount) for line in lines]),
        make=lambda answer: create(wanted.user_id, wanted.currency, lines, caller, answer=answer),
        told=_placed,
    )


def _placed(order: Order) -> tuple[OrderDocument, str]:
    return order_document(order), f"/orders/{order.id}"


@router.get(
    "/orders/{id}",
    operation_id="getOrder",
    response_model=OrderDocument,
    responses={**tagged_answer("The order."), **problems("order-not-found", "storage-unavailable")},
    openapi_extra=IF_NONE_MATCH,
)
async def get_order(caller: OrdersReader, request: Request, id: Id, get: GetOrder) -> Response:
    """Look up an order. An id that is no UUID belongs to no order: 404 as well."""
    known = id_from_path(id)
    if known is None:
        raise OrderNotFound
    return tagged(request, to_json(order_document(await get(known, caller))))


@router.get(
    "/orders/",
    operation_id="listOrders",
    response_model=OrderPageDocument,
    responses={
        **answered(
            "A page of orders.",
            "Link",
            links={"next": link("The next page, of the same list.", "listOrders", cursor="/next_cursor")},
        ),
        **problems("invalid-request", "storage-unavailable"),
    },
)
async def list_orders(
    caller: OrdersReader, request: Request, query: Annotated[OrderQuery, Query()], list_: ListOrders
) -> Response:
    """List orders, newest first. The Link header leads to the next page."""
    refuse_doubled(request)
    before = None if query.cursor is None else order_of(query.cursor)
    page = await list_(user_id=query.user_id, before=before, limit=query.limit, caller=caller)
    cursor = None if page.next_before is None else order_cursor(page.next_before)
    document: OrderPageDocument = {"items": [order_document(order) for order in page.items], "next_cursor": cursor}
    headers = {}
    if cursor is not None:
        of_user = {} if query.user_id is None else {"user_id": query.user_id}
        parameters = urlencode({**of_user, "limit": query.limit, "cursor": cursor})
        headers["Link"] = f'</orders/?{parameters}>; rel="next"'
    return Response(to_json(document), headers=headers, media_type="application/json")
