"""The cache on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
import redis.asyncio

from adapters.cache.redis import RedisCache
from ports.cache import VALUE_MOST, Cache
from tests.contracts.cache import CacheContract, PassTime
from tests.contracts.cache_outage import CacheOutageContract
from tests.integration.cache.servers import OnServer, a_prefix, on_redis, started
from tests.services import private
from tools.services.redis import Redis


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    async with started(on_redis(redis_url, seconds=5)) as cache:  # whatever else the machine does
        yield cache


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Any]:
    """What anybody may do there."""
    client: Any = redis.asyncio.Redis.from_url(redis_url)
    yield client
    await client.aclose()


class TestRedisCache(CacheContract):
    @pytest.fixture
    def cache(self, cache: Cache) -> Cache:
        return cache

    @pytest.fixture
    def pass_time(self) -> PassTime:
        return asyncio.sleep


@pytest.fixture(scope="module")
def own_server() -> Iterator[Redis]:
    with private(Redis) as server:
        yield server


@pytest.fixture
def server(own_server: Redis) -> Iterator[Redis]:
    """It runs, and is left as it may be."""
    own_server.thaw()
    own_server.start()
    yield own_server
    own_server.thaw()


class TestRedisCacheOutage(OnServer, CacheOutageContract):
    @pytest.fixture
    async def cache(self, server: Redis) -> AsyncIterator[Cache]:
        self.server = server
        async with started(on_redis(server.address)) as cache:
            yield cache


class TestRedisCacheOutageFrozen(TestRedisCacheOutage):
    frozen: ClassVar[bool] = True


async def test_what_one_process_remembers_another_finds(redis_url: str) -> None:
    prefix = a_prefix()
    async with started(on_redis(redis_url, prefix)) as one, started(on_redis(redis_url, prefix)) as other:
        await one.put("key", b"value", seconds=60)

        assert await other.get("key") == b"value"


async def test_another_prefix_is_another_cache(redis_url: str) -> None:
    async with started(on_redis(redis_url)) as one, started(on_redis(redis_url)) as other:
        await one.put("key", b"value", seconds=60)

        assert await other.get("key") is None


async def test_entries_end_by_themselves_to_the_millisecond(redis_url: str, raw: Any) -> None:
    prefix = a_prefix()
    async with started(on_redis(redis_url, prefix)) as cache:
        await cache.put("key", b"value", seconds=0.5)
        await cache.put("longer", b"value", seconds=90.25)

        assert 0 < await raw.pttl(f"{prefix}key") <= 500
        assert 80_000 < await raw.pttl(f"{prefix}longer") <= 90_250


@pytest.mark.parametrize("poison", ["list", "hash", "foreign", "empty", "huge", "number"])
async def test_what_somebody_else_left_under_a_key_is_a_miss_and_may_be_replaced(
    redis_url: str, raw: Any, poison: str
) -> None:
    prefix = a_prefix()
    key = f"{prefix}key"
    leave: Any = {
        "list": lambda: raw.rpush(key, "x"),
        "hash": lambda: raw.hset(key, "x", "y"),
        "foreign": lambda: raw.set(key, b"what we never wrote", ex=60),
        "empty": lambda: raw.set(key, b"", ex=60),
        "huge": lambda: raw.set(key, b"1" * (VALUE_MOST + 2), ex=60),
        "number": lambda: raw.set(key, 2, ex=60),
    }[poison]
    async with started(on_redis(redis_url, prefix)) as cache:
        await leave()

        assert await cache.get("key") is None
        await cache.put("key", b"value", seconds=60)
        assert await cache.get("key") == b"value"
        assert cache.trouble is None


async def test_a_wiped_redis_is_an_empty_cache(server: Redis) -> None:
    async with started(on_redis(server.address)) as cache:
        await cache.put("key", b"value", seconds=60)
        wiper: Any = redis.asyncio.Redis.from_url(server.address)
        await wiper.flushall()
        await wiper.aclose()

        assert await cache.get("key") is None
        await cache.put("key", b"again", seconds=60)
        assert await cache.get("key") == b"again"


async def test_a_full_redis_is_read_and_says_what_it_refuses(server: Redis) -> None:
    async with started(on_redis(server.address)) as cache:
        await cache.put("key", b"value", seconds=60)
        boss: Any = redis.asyncio.Redis.from_url(server.address)
        await boss.config_set("maxmemory", 1)
        try:
            await cache.put("other", b"value", seconds=60)

            assert await cache.get("key") == b"value"
            assert cache.trouble is not None
            assert "refuses to write" in cache.trouble
        finally:
            await boss.config_set("maxmemory", 0)
            await boss.aclose()
        await cache.put("other", b"value", seconds=60)
        assert cache.trouble is None


async def test_it_holds_no_more_connections_than_it_was_given(server: Redis) -> None:
    async with started(on_redis(server.address, seconds=10)) as cache:
        await asyncio.gather(*(cache.get(f"key:{number}") for number in range(500)))
        boss: Any = redis.asyncio.Redis.from_url(server.address)
        clients = await boss.client_list()
        await boss.aclose()

    assert len(clients) <= 16 + 1


async def test_stopping_closes_every_connection(server: Redis) -> None:
    async with started(on_redis(server.address)) as cache:
        await asyncio.gather(*(cache.get(f"key:{number}") for number in range(100)))
    boss: Any = redis.asyncio.Redis.from_url(server.address)

    async def only_ours() -> bool:
        return len(await boss.client_list()) == 1

    outage = CacheOutageContract()
    assert await outage.becomes(only_ours)
    await boss.aclose()


async def test_two_may_be_made_of_one_client(redis_url: str) -> None:
    cache = on_redis(redis_url)
    async with started(cache):
        other = RedisCache(cache._client, prefix=a_prefix())
        await other.put("key", b"value", seconds=60)

        assert await cache.get("key") is None
        assert await other.get("key") == b"value"
