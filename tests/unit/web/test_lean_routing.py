"""The short way to a route is only shorter."""

from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from entrypoints.web.lean_route import LeanRoute
from entrypoints.web.lean_routing import LeanRouting


class RefusedError(Exception):
    """Has a handler."""


class RefusedTwiceError(RefusedError):
    """Has that of its parent."""


async def refused(request: Request, error: RefusedError) -> Response:
    return Response(f"{type(error).__name__} at {request.url.path}", 409)


class NoWay:
    """Stands where the framework would."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response("not by the short way", 404)(scope, receive, send)


def routes() -> APIRouter:
    router = APIRouter(route_class=LeanRoute)

    @router.get("/things/special")
    async def special(q: str = "") -> dict[str, str]:
        return {"special": q}

    @router.get("/things/{id}")
    async def thing(request: Request, id: str) -> Response:
        return Response(f"{request.scope['route'].path} {id}")

    @router.post("/things/")
    async def make(request: Request) -> Response:
        return Response((await request.body()).upper(), 201)

    @router.get("/refused")
    async def refuse(request: Request) -> Response:
        raise RefusedTwiceError(request.url.path)

    @router.get("/{anything}/else")
    async def anything(anything: str, q: str = "") -> dict[str, str]:
        return {"anything": anything + q}

    @router.get("/late/{id}")
    async def late(id: str) -> Response:
        return Response(f"late {id}")

    return router


async def answer_to(app: Any, method: str, path: str) -> tuple[int, str]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.request(method, path, content=b"abc" if method == "POST" else None)
    return answer.status_code, answer.text


SERVED_SHORT = [("GET", "/things/7"), ("GET", "/things/a%20b"), ("POST", "/things/"), ("GET", "/refused")]
LEFT = [
    ("GET", "/things/special"),
    ("GET", "/things/"),
    ("PUT", "/things/7"),
    ("GET", "/things/7/8"),
    ("GET", "/things"),
    ("GET", "/late/else"),  # an earlier route may match anything
    ("GET", "/late/7"),
    ("GET", "/%7Bid%7D/else"),
    ("GET", "/nothing"),
]


@pytest.mark.parametrize(("method", "path"), [*SERVED_SHORT, *LEFT])
async def test_a_request_is_answered_as_without_the_short_way(method: str, path: str) -> None:
    """The route, what is in the path, and the answer to an error are the same."""
    plain, short = FastAPI(), FastAPI()
    for app in (plain, short):
        app.router.routes.extend(routes().routes)
        app.exception_handler(RefusedError)(refused)
    short.add_middleware(LeanRouting, routes=short.routes, handlers={RefusedError: refused})

    assert await answer_to(short, method, path) == await answer_to(plain, method, path)


@pytest.mark.parametrize(("method", "path"), SERVED_SHORT)
async def test_what_a_lean_route_serves_goes_the_short_way(method: str, path: str) -> None:
    app = LeanRouting(NoWay(), routes=routes().routes, handlers={RefusedError: refused})

    assert (await answer_to(app, method, path))[0] != 404


@pytest.mark.parametrize(("method", "path"), LEFT)
async def test_what_another_route_may_serve_is_left_to_the_framework(method: str, path: str) -> None:
    app = LeanRouting(NoWay(), routes=routes().routes, handlers={})

    assert await answer_to(app, method, path) == (404, "not by the short way")
