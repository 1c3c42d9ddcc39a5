"""How tests talk to the application, and what every problem has to look like."""

from typing import Any

import httpx
from fastapi import FastAPI

from entrypoints.web.problem_types import PROBLEM_TYPES

OPERATOR_TOKEN = "open-sesame"
BEARER = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A client in this very process: no sockets, nothing on the network."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://crossdock.test")


def problem(answer: httpx.Response, status: int, code: str) -> Any:
    """The document of an answer that is this problem, whole and consistent."""
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert document["code"] == code, document
    check_problem(answer)
    return document


def check_problem(answer: httpx.Response) -> None:
    """An answer that is any problem at all."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    kind = PROBLEM_TYPES[document["code"]]
    assert document["type"] == f"/problems/{kind.code}"
    assert document["title"] == kind.title
    assert document["status"] == kind.status == answer.status_code
    assert document["detail"]
    assert document["instance"] == answer.request.url.raw_path.partition(b"?")[0].decode()
    assert document["request_id"] == answer.headers["x-request-id"]


def pointers(document: Any) -> list[str]:
    """Where a refused request is wrong."""
    return [error["pointer"] for error in document["errors"]]


def locations(document: Any) -> set[str]:
    """In which parts of a refused request that is: ``body`` where nothing is said."""
    return {error.get("location", "body") for error in document["errors"]}


def an_order_for(user: Any, **changes: Any) -> dict[str, Any]:
    """The body of a good order, but for the changes."""
    line = {"sku": "apple", "quantity": 2, "unit_price": "9.90"}
    return {"user_id": user["id"], "currency": "EUR", "lines": [line]} | changes


def a_line_with(**changes: Any) -> dict[str, Any]:
    """A good line of an order, but for the changes."""
    return {"sku": "apple", "quantity": 2, "unit_price": "9.90"} | changes
