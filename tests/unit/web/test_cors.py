import httpx
import pytest

from adapters.rate_limit.memory import MemoryRateLimit
from entrypoints.web.app import create_app
from entrypoints.web.edge_options import EdgeOptions
from tests.unit.web.parts import Parts
from tests.unit.web.talk import OPERATOR_TOKEN, client_of

APP = "https://app.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,idempotency-key"}


def open_to(parts: Parts, *origins: str) -> httpx.AsyncClient:
    limit = MemoryRateLimit(2, 60, clock=parts.time)
    edge = EdgeOptions(cors_origins=origins, rate_limit=limit)
    return client_of(create_app(parts, operator_token=OPERATOR_TOKEN, edge=edge))


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_pages_of_other_sites_read_nothing_unless_it_is_set(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/orders/", headers={"Origin": APP, **PREFLIGHT})

    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_a_page_of_a_site_that_is_let_in_may_ask_and_read_what_it_needs(parts: Parts) -> None:
    async with open_to(parts, APP) as client:
        preflight = await client.options("/orders/", headers={"Origin": APP, **PREFLIGHT})
        answers = [await client.get("/orders/", headers={"Origin": APP}) for _ in range(3)]

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == APP
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    assert [answer.status_code for answer in answers] == [200, 200, 429]  # the question before does not count
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == APP
        assert "access-control-allow-credentials" not in answer.headers
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"ETag", "Link", "Location", "RateLimit", "Retry-After", "X-Request-ID"} <= set(exposed)


async def test_a_page_is_offered_no_method_that_no_route_has(parts: Parts) -> None:
    async with open_to(parts, APP) as client:
        asked = {"Origin": APP, "Access-Control-Request-Method": "DELETE"}
        answer = await client.options("/orders/", headers=asked)

    assert answer.status_code == 400
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST"


async def test_a_page_of_any_other_site_is_not_let_in(parts: Parts) -> None:
    async with open_to(parts, APP) as client:
        answer = await client.get("/orders/", headers={"Origin": "https://app.example.com.evil.example"})

    assert "access-control-allow-origin" not in answer.headers
