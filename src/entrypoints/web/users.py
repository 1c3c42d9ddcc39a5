"""Users over HTTP."""

from typing import Annotated
from uuid import UUID

import email_validator
from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from domain.model.email import Email
from domain.model.errors import InvalidValue, UserNotFound
from domain.model.times import to_rfc3339
from domain.model.user import NAME_MOST, User
from entrypoints.web.bodies import read_json
from entrypoints.web.dependencies import GetUser, RegisterUser, after_answer
from entrypoints.web.fields import STRICT, Id, Instant, OneLine, id_from_path, to_json
from entrypoints.web.idempotency import PARAMETER, PROBLEMS, answer_created, created_once, key_of
from entrypoints.web.lean_route import LeanRoute
from entrypoints.web.openapi import IF_NONE_MATCH, created, link, problems, request_body, tagged_answer
from entrypoints.web.reading import tagged
from entrypoints.web.security import UsersReader, UsersWriter

_ORDER = {"currency": "EUR", "lines": [{"sku": "apple", "quantity": 2, "unit_price": "9.90"}]}

router = APIRouter(tags=["users"], route_class=LeanRoute)


def _address(text: str) -> str:
    # Non-ASCII before the @ (SMTPUTF8) is refused: many mail servers cannot reach it. ``test_environment`` lets the
    # reserved domain .test through.
    try:
        parsed = email_validator.validate_email(
            text, check_deliverability=False, allow_smtputf8=False, test_environment=True
        )
        return Email(parsed.ascii_email or parsed.normalized).address
    except (email_validator.EmailNotValidError, InvalidValue):
        raise PydanticCustomError("email", "This is not an e-mail address of the form name@domain.") from None


class NewUser(BaseModel):
    """Who wants to register."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [{"email": "ann@example.com", "name": "Ann"}]})

    email: Annotated[str, Field(max_length=320, json_schema_extra={"format": "idn-email"}), AfterValidator(_address)]
    name: Annotated[OneLine, Field(min_length=1, max_length=NAME_MOST)] | None = None


class UserDocument(TypedDict):
    """A registered user."""

    id: UUID
    email: Annotated[str, Field(examples=["ann@example.com"])]
    name: str | None
    registered_at: Instant


def user_document(user: User) -> UserDocument:
    """What is told about a user."""
    return {
        "id": user.id,
        "email": user.email.address,
        "name": user.name,
        "registered_at": to_rfc3339(user.registered_at),
    }


@router.post(
    "/register-user/",
    operation_id="registerUser",
    status_code=201,
    response_model=UserDocument,
    responses={
        **created(
            "The new user.",
            {
                "user": link("This user.", "getUser", id="/id"),
                "order": link(
                    "An order of this user.", "createOrder", body={**_ORDER, "user_id": "$response.body#/id"}
                ),
                "orders": link("The orders of this user.", "listOrders", user_id="/id"),
            },
        ),
        **problems("email-already-registered", "storage-unavailable", *PROBLEMS, body=True),
    },
    openapi_extra=request_body(NewUser, PARAMETER),
)
async def register_user(caller: UsersWriter, request: Request, register: RegisterUser) -> Response:
    """Register a user. A welcome mail follows."""
    key = key_of(request)
    wanted = await read_json(request, NewUser)
    email = Email(wanted.email)
    background = after_answer(request)
    if key is None:
        return answer_created(*_registered(await register(email, wanted.name, caller)), background)
    return await created_once(
        request,
        caller,
        key,
        operation="registerUser",
        asked=(email.address, wanted.name),
        make=lambda answer: register(email, wanted.name, caller, answer=answer),
        told=_registered,
        background=background,
    )


def _registered(user: User) -> tuple[UserDocument, str]:
    return user_document(user), f"/users/{user.id}"


@router.get(
    "/users/{id}",
    operation_id="getUser",
    response_model=UserDocument,
    responses={**tagged_answer("The user."), **problems("user-not-found", "storage-unavailable")},
    openapi_extra=IF_NONE_MATCH,
)
async def get_user(caller: UsersReader, request: Request, id: Id, get: GetUser) -> Response:
    """Look up a user. An id that is no UUID belongs to nobody: 404 as well."""
    known = id_from_path(id)
    if known is None:
        raise UserNotFound
    return tagged(request, to_json(user_document(await get(known, caller))))
