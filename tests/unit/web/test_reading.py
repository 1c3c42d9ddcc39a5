from typing import Any

import httpx
import pytest

from entrypoints.web.reading import takes_json
from tests.unit.web.talk import an_order_for, problem


@pytest.fixture
async def order(client: httpx.AsyncClient, user: Any) -> Any:
    return (await client.post("/orders/", json=an_order_for(user))).json()


@pytest.fixture(params=["users", "orders"])
def path(request: pytest.FixtureRequest, user: Any, order: Any) -> str:
    return f"/{request.param}/{user['id'] if request.param == 'users' else order['id']}"


async def test_who_has_it_already_is_told_just_that(client: httpx.AsyncClient, path: str) -> None:
    first = await client.get(path)
    tag = first.headers["etag"]

    for given in (tag, f"W/{tag}", "*", f'"other", W/"a,b", {tag}', f'"other",{tag}'):
        for method in ("GET", "HEAD"):
            again = await client.request(method, path, headers={"If-None-Match": given})
            assert again.status_code == 304, given
            assert again.content == b""
            assert again.headers["etag"] == tag
            assert "content-type" not in again.headers
            assert again.headers["cache-control"] == first.headers["cache-control"] == "no-store"
            assert again.headers["x-request-id"]


@pytest.mark.parametrize("given", ['"other"', "", "abc", 'W/"other"', "**", '"*"'])
async def test_who_has_another_gets_this_one(client: httpx.AsyncClient, path: str, given: str) -> None:
    answer = await client.get(path, headers={"If-None-Match": given})

    assert answer.status_code == 200
    assert answer.json()["id"] in path


async def test_several_lines_of_tags_are_one_list(client: httpx.AsyncClient, path: str) -> None:
    tag = (await client.get(path)).headers["etag"]

    answer = await client.get(path, headers=[("If-None-Match", '"other"'), ("If-None-Match", tag)])

    assert answer.status_code == 304


async def test_each_resource_has_a_tag_of_its_own(client: httpx.AsyncClient, user: Any) -> None:
    orders = [(await client.post("/orders/", json=an_order_for(user))).json() for _ in range(3)]

    tags = {(await client.get(f"/orders/{order['id']}")).headers["etag"] for order in orders}

    assert len(tags) == 3


async def test_what_is_not_there_is_not_unchanged(client: httpx.AsyncClient) -> None:
    answer = await client.get("/orders/01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87", headers={"If-None-Match": "*"})

    problem(answer, 404, "order-not-found")


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        ("*/*", True),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/*;q=0.1", True),
        ("text/html, application/xhtml+xml, */*;q=0.8", True),
        ("application/problem+json, application/json", True),
        ("application/json;q=0.001", True),
        ("", True),
        ("nonsense", True),
        ("text/html", False),
        ("text/*, image/png", False),
        ("application/problem+json", False),
        ("application/json;q=0", False),
        ("application/json; q=0.000, */*", False),
        ("*/*;q=0", False),
        ("*/*;q=0, application/json", True),
    ],
)
def test_json_is_taken_where_nothing_leaves_it_out(accept: str, taken: bool) -> None:
    assert takes_json(accept) is taken


@pytest.mark.parametrize("path", ["/orders/", "/weather/Oslo", "/users/01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87"])
async def test_who_does_not_take_json_is_refused(client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(path, headers={"Accept": "text/html"}), 406, "not-acceptable")


async def test_what_is_not_acceptable_does_nothing(client: httpx.AsyncClient) -> None:
    body = {"email": "ann@example.com"}
    refused = await client.post("/register-user/", json=body, headers={"Accept": "application/xml"})
    registered = await client.post("/register-user/", json=body, headers={"Accept": "application/json"})

    problem(refused, 406, "not-acceptable")
    assert registered.status_code == 201


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/docs", "/openapi.json"])
async def test_probes_and_pages_do_not_look_at_it(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path, headers={"Accept": "image/png"})).status_code == 200


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/orders/", "GET, HEAD, OPTIONS, POST"),
        ("/orders/7", "GET, HEAD, OPTIONS"),
        ("/register-user/", "OPTIONS, POST"),
        ("/livez", "GET, HEAD, OPTIONS"),
    ],
)
async def test_what_may_be_done_is_told_to_who_asks(client: httpx.AsyncClient, path: str, allowed: str) -> None:
    answer = await client.options(path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == allowed


async def test_of_what_is_not_there_nothing_may_be_done(client: httpx.AsyncClient) -> None:
    problem(await client.options("/nothing"), 404, "not-found")
