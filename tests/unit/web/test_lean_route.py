from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response

from entrypoints.web.lean_route import LeanRoute


async def greeting(request: Request) -> str:
    return f"hello {request.headers['x-name']}"


async def refusing(_: Request) -> None:
    raise HTTPException(403)


def is_lean(route: object) -> bool:
    return isinstance(route, LeanRoute) and route.answer is not None


async def answer_of(router: APIRouter, path: str) -> httpx.Response:
    app = FastAPI()
    app.router.routes.extend(router.routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get(path, headers={"x-name": "Ann"})


async def test_an_endpoint_gets_the_request_texts_of_the_path_and_what_looks_at_the_request_alone() -> None:
    router = APIRouter(route_class=LeanRoute)

    @router.get("/{word}")
    async def endpoint(request: Request, word: str, text: Annotated[str, Depends(greeting)]) -> Response:
        return Response(f"{request.method} {word} {text}")

    answer = await answer_of(router, "/a%20b")

    assert is_lean(router.routes[0])
    assert answer.text == "GET a b hello Ann"


async def test_whatever_has_to_be_solved_or_converted_is_left_to_fastapi() -> None:
    router = APIRouter(route_class=LeanRoute)

    @router.get("/number/{number}")
    async def of_number(number: int) -> Response:
        return Response(str(number + 1))

    @router.get("/query")
    async def of_query(q: str) -> Response:
        return Response(q)

    @router.get("/document")
    async def of_document() -> dict[str, str]:
        return {"made": "by fastapi"}

    assert not any(map(is_lean, router.routes))
    assert (await answer_of(router, "/number/1")).text == "2"
    assert (await answer_of(router, "/number/one")).status_code == 422
    assert (await answer_of(router, "/query?q=x")).text == "x"
    assert (await answer_of(router, "/document")).json() == {"made": "by fastapi"}


@pytest.mark.parametrize("where", ["router", "route"])
async def test_a_dependency_of_the_whole_route_is_never_left_out(where: str) -> None:
    """Else a guard could be passed by."""
    guards = [Depends(refusing)]
    router = APIRouter(route_class=LeanRoute, dependencies=guards if where == "router" else [])

    @router.get("/", dependencies=guards if where == "route" else [])
    async def endpoint(request: Request) -> Response:
        return Response(request.method)

    assert not is_lean(router.routes[0])
    assert (await answer_of(router, "/")).status_code == 403
