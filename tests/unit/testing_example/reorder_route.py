from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from entrypoints.web.fields import to_json
from entrypoints.web.orders import order_document
from tests.unit.testing_example.reorder_last import ReorderLast

router = APIRouter(tags=["orders"])


async def _reorder_last(request: Request) -> ReorderLast:
    container = request.app.state.container
    return ReorderLast(container.persistence().orders, container.unit_of_work(), container.clock(), container.ids())


@router.post("/users/{id}/reorder", status_code=201)
async def reorder_last(id: UUID, reorder: Annotated[ReorderLast, Depends(_reorder_last)]) -> Response:
    """Place the latest order of a user again."""
    order = await reorder(id)
    headers = {"Location": f"/orders/{order.id}"}
    return Response(to_json(order_document(order)), 201, headers=headers, media_type="application/json")
