"""The whole service on each cache, which is chosen by one variable and its address: nothing else is told to it."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from entrypoints.testing import crossdock
from tests.services import private
from tools.services.redis import Redis


@pytest.fixture
def prefix() -> str:
    return f"test-{secrets.token_hex(6)}."


@pytest.fixture(params=["memory", "redis", "memcached"])
def chosen(request: pytest.FixtureRequest, prefix: str) -> dict[str, Any]:
    """The variables of one cache."""
    address = {"redis": ("REDIS_URL", "redis_url"), "memcached": ("MEMCACHED_SERVERS", "memcached_servers")}
    variables: dict[str, Any] = {"CROSSDOCK_CACHE": request.param, "CROSSDOCK_TOPIC_PREFIX": prefix}
    if request.param in address:
        variable, fixture = address[request.param]
        variables[variable] = request.getfixturevalue(fixture)
    return variables


async def test_an_answer_is_remembered(chosen: dict[str, Any]) -> None:
    async with crossdock(**chosen) as dock:
        first = await dock.client.get("/weather/Berlin")
        await dock.clock.advance(5)
        second = await dock.client.get("/weather/Berlin")
        ready = (await dock.client.get("/readyz")).json()

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json() == first.json()
    assert second.headers["Age"] == "5"
    assert ready["checks"]["cache"]["status"] == "ready"


async def test_what_one_process_remembers_another_finds_where_the_cache_is_shared(chosen: dict[str, Any]) -> None:
    async with crossdock(**chosen) as one:
        first = await one.client.get("/weather/Berlin")
    async with crossdock(**chosen) as other:
        await other.clock.advance(5)
        second = await other.client.get("/weather/Berlin")

    shared = chosen["CROSSDOCK_CACHE"] != "memory"
    assert (second.json() == first.json()) is shared
    assert second.headers["Age"] == ("5" if shared else "0")


async def test_environments_with_prefixes_of_their_own_share_nothing(chosen: dict[str, Any]) -> None:
    async with crossdock(**chosen) as one:
        await one.client.get("/weather/Berlin")
    async with crossdock(**dict(chosen, CROSSDOCK_TOPIC_PREFIX="other-" + chosen["CROSSDOCK_TOPIC_PREFIX"])) as other:
        await other.clock.advance(5)

        assert (await other.client.get("/weather/Berlin")).headers["Age"] == "0"


@pytest.fixture
def server() -> Iterator[Redis]:
    with private(Redis) as server:
        yield server


async def test_without_its_redis_the_service_answers_and_says_what_it_lacks(server: Redis) -> None:
    async with crossdock(CROSSDOCK_CACHE="redis", REDIS_URL=server.address) as dock:
        await dock.client.get("/weather/Berlin")
        server.kill()

        answer = await dock.client.get("/weather/Berlin")
        ready = await dock.client.get("/readyz")

    assert answer.status_code == 200
    assert ready.status_code == 200
    assert ready.json()["status"] == "degraded"
    assert ready.json()["checks"]["cache"]["status"] == "degraded"
    assert str(server.port) in ready.json()["checks"]["cache"]["detail"]


async def test_it_starts_without_its_redis(server: Redis) -> None:
    server.kill()

    async with crossdock(CROSSDOCK_CACHE="redis", REDIS_URL=server.address) as dock:
        assert (await dock.client.get("/weather/Berlin")).status_code == 200
