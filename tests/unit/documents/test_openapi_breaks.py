"""Each kind of break is seen once, in the real document, and said by its name."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from entrypoints.container import build
from entrypoints.settings import Settings
from entrypoints.web.app import create_app
from tools.documents.openapi import breaks

Document = dict[str, Any]
Change = Callable[[Document], object]

DOCUMENT: Document = create_app(build(Settings.defaults()), operator_token=None).openapi()


def schemas(document: Document) -> Document:
    found: Document = document["components"]["schemas"]
    return found


def operation(document: Document, path: str, method: str) -> Document:
    found: Document = document["paths"][path][method]
    return found


def changed(change: Change) -> list[str]:
    new = deepcopy(DOCUMENT)
    change(new)
    return list(breaks(DOCUMENT, new))


def parameter(document: Document, name: str) -> Document:
    parameters = operation(document, "/orders/", "get")["parameters"]
    found: Document = next(each for each in parameters if each["name"] == name)
    return found


BREAKS: dict[str, tuple[Change, str]] = {
    "a path that is gone": (
        lambda new: new["paths"].pop("/users/{id}"),
        "/users/{id}: is gone",
    ),
    "an operation that is gone": (
        lambda new: new["paths"]["/orders/"].pop("get"),
        "GET /orders/: is gone",
    ),
    "an operation of another name": (
        lambda new: operation(new, "/users/{id}", "get").update(operationId="readUser"),
        "GET /users/{id}: operationId was getUser and is readUser",
    ),
    "a field that is gone from an answer": (
        lambda new: schemas(new)["UserDocument"]["properties"].pop("registered_at"),
        "GET /users/{id}, 200.registered_at: is gone",
    ),
    "a field of an answer that may be missing": (
        lambda new: schemas(new)["OrderDocument"]["required"].remove("total"),
        "GET /orders/{id}, 200.total: may be missing now",
    ),
    "a field of an answer that may be null": (
        lambda new: schemas(new)["OrderDocument"]["properties"]["total"].update(type=["string", "null"]),
        "GET /orders/{id}, 200.total: may now be null as well",
    ),
    "a field of an answer of another type": (
        lambda new: schemas(new)["LineDocument"]["properties"]["quantity"].update(type="string"),
        "GET /orders/{id}, 200.lines[].quantity: may now be string as well",
    ),
    "a new value in an answer": (
        lambda new: schemas(new)["OrderStatus"]["enum"].append("cancelled"),
        "GET /orders/{id}, 200.status: may now be 'cancelled'",
    ),
    "an answer without its format": (
        lambda new: schemas(new)["UserDocument"]["properties"]["id"].pop("format"),
        "GET /users/{id}, 200.id: format was 'uuid' and is not set",
    ),
    "a new field that a request must have": (
        lambda new: (
            schemas(new)["NewUser"]["properties"].update(phone={"type": "string"}),
            schemas(new)["NewUser"]["required"].append("phone"),
        ),
        "POST /register-user/, body.phone: is required now",
    ),
    "a field that a request may no longer have": (
        lambda new: schemas(new)["NewUser"]["properties"].pop("name"),
        "POST /register-user/, body.name: is gone",
    ),
    "a narrower bound": (
        lambda new: schemas(new)["NewLine"]["properties"]["quantity"].update(maximum=9_999),
        "POST /orders/, body.lines[].quantity: maximum was 10000 and is 9999",
    ),
    "a new bound": (
        lambda new: schemas(new)["NewUser"]["properties"]["email"].update(minLength=6),
        "POST /register-user/, body.email: minLength was not set and is 6",
    ),
    "a narrower type": (
        lambda new: schemas(new)["NewUser"]["properties"]["name"]["anyOf"].pop(),
        "POST /register-user/, body.name: may no longer be null",
    ),
    "a pattern that has changed": (
        lambda new: schemas(new)["NewOrder"]["properties"]["currency"].update(pattern="^EUR$"),
        "POST /orders/, body.currency: pattern was '^[A-Z]{3}$' and is '^EUR$'",
    ),
    "values that are no longer free": (
        lambda new: schemas(new)["NewOrder"]["properties"]["currency"].update(enum=["EUR"]),
        "POST /orders/, body.currency: is one of 'EUR' now",
    ),
    "a word of JSON Schema that is not compared": (
        lambda new: schemas(new)["NewUser"].update({"not": {"required": ["name"]}}),
        "POST /register-user/, body: not has changed",
    ),
    "a parameter that is gone": (
        lambda new: operation(new, "/orders/", "get")["parameters"].remove(parameter(new, "cursor")),
        "GET /orders/, query cursor: is gone",
    ),
    "a parameter that is required": (
        lambda new: parameter(new, "user_id").update(required=True),
        "GET /orders/, query user_id: is required now",
    ),
    "a new parameter that is required": (
        lambda new: operation(new, "/orders/", "get")["parameters"].append(
            {"name": "tenant", "in": "header", "required": True, "schema": {"type": "string"}}
        ),
        "GET /orders/, header tenant: is new and required",
    ),
    "a parameter with a narrower bound": (
        lambda new: parameter(new, "limit")["schema"].update(maximum=50),
        "GET /orders/, query limit: maximum was 100 and is 50",
    ),
    "a media type that is gone": (
        lambda new: operation(new, "/orders/", "post")["requestBody"]["content"].update(
            {"application/xml": operation(new, "/orders/", "post")["requestBody"]["content"].pop("application/json")}
        ),
        "POST /orders/, body: is no longer application/json",
    ),
    "a status that is gone": (
        lambda new: operation(new, "/orders/{id}", "get")["responses"].pop("404"),
        "GET /orders/{id}, 404: is gone",
    ),
    "another success": (
        lambda new: operation(new, "/orders/", "post")["responses"].update({"202": {"description": "Later."}}),
        "POST /orders/, 202: is a new success",
    ),
    "a header that is gone": (
        lambda new: operation(new, "/orders/", "post")["responses"]["201"]["headers"].pop("Location"),
        "POST /orders/, 201, header Location: is gone",
    ),
    "a header that may be missing": (
        lambda new: new["components"]["headers"]["Location"].update(required=False),
        "POST /orders/, 201, header Location: may be missing now",
    ),
    "credentials that are wanted": (
        lambda new: operation(new, "/orders/", "get").update(security=[{"accessToken": []}]),
        "GET /orders/: wants credentials now: [{'accessToken': []}]",
    ),
    "other credentials": (
        lambda new: operation(new, "/operator/api/status", "get").update(security=[{"accessToken": []}]),
        "GET /operator/api/status: wants other credentials: [{'accessToken': []}]",
    ),
}

ADDITIONS: dict[str, Change] = {
    "a path": lambda new: new["paths"].update({"/carts/": {"get": {"operationId": "listCarts", "responses": {}}}}),
    "a field of an answer": lambda new: schemas(new)["UserDocument"]["properties"].update(age={"type": "integer"}),
    "an optional field of a request": lambda new: schemas(new)["NewUser"]["properties"].update(age={"type": "integer"}),
    "a wider bound of a request": lambda new: schemas(new)["NewLine"]["properties"]["quantity"].update(maximum=20_000),
    "an optional parameter": lambda new: operation(new, "/orders/", "get")["parameters"].append(
        {"name": "status", "in": "query", "schema": {"type": "string"}}
    ),
    "a refusal": lambda new: operation(new, "/users/{id}", "get")["responses"].update(
        {"451": {"description": "Slow."}}
    ),
    "an answer for those who have it already": lambda new: operation(new, "/operator/api/status", "get")[
        "responses"
    ].update({"304": {"description": "Unchanged."}}),
    "a narrower answer": lambda new: schemas(new)["WeatherDocument"]["properties"]["humidity_percent"].update(
        maximum=100
    ),
    "words": lambda new: schemas(new)["UserDocument"].update(description="Somebody.", title="Somebody"),
    "another name of a part of a path": lambda new: new["paths"].update(
        {"/users/{user_id}": new["paths"].pop("/users/{id}")}
    ),
    "another way in": lambda new: operation(new, "/operator/api/status", "get")["security"].append({"accessToken": []}),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_named(name: str) -> None:
    change, told = BREAKS[name]

    assert told in changed(change)


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_breaks_nobody(name: str) -> None:
    assert changed(ADDITIONS[name]) == []


def test_what_has_not_changed_breaks_nobody() -> None:
    assert changed(lambda _: None) == []
