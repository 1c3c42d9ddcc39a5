"""The cache on a real Memcached, and on several."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import pytest

from adapters.cache.memcached import SERVER_KEY_MOST, MemcachedLink
from ports.cache import KEY_MOST, VALUE_MOST, Cache
from tests.contracts.cache import CacheContract, PassTime
from tests.contracts.cache_outage import CacheOutageContract
from tests.integration.cache.servers import OnServer, a_prefix, on_memcached, started
from tests.services import private
from tools.services.memcached import Memcached


@pytest.fixture
async def cache(memcached_servers: str) -> AsyncIterator[Cache]:
    async with started(on_memcached(memcached_servers, seconds=5)) as cache:  # whatever else the machine does
        yield cache


class TestMemcachedCache(CacheContract):
    @pytest.fixture
    def cache(self, cache: Cache) -> Cache:
        return cache

    @pytest.fixture
    def pass_time(self) -> PassTime:
        return asyncio.sleep


@pytest.fixture(scope="module")
def own_server() -> Iterator[Memcached]:
    with private(Memcached) as server:
        yield server


@pytest.fixture
def server(own_server: Memcached) -> Iterator[Memcached]:
    """It runs, and is left as it may be."""
    own_server.thaw()
    own_server.start()
    yield own_server
    own_server.thaw()


class TestMemcachedCacheOutage(OnServer, CacheOutageContract):
    @pytest.fixture
    async def cache(self, server: Memcached) -> AsyncIterator[Cache]:
        self.server = server
        async with started(on_memcached(server.address)) as cache:
            yield cache


class TestMemcachedCacheOutageFrozen(TestMemcachedCacheOutage):
    frozen: ClassVar[bool] = True


class Raw:
    """What anybody may say there."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def say(self, command: bytes) -> bytes:
        host, _, port = self._address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(command)
        answer = await reader.readuntil(b"\r\n")
        writer.close()
        await writer.wait_closed()
        return answer


async def test_what_one_process_remembers_another_finds(memcached_servers: str) -> None:
    prefix = a_prefix()
    async with (
        started(on_memcached(memcached_servers, prefix)) as one,
        started(on_memcached(memcached_servers, prefix)) as other,
    ):
        await one.put("key", b"value", seconds=60)

        assert await other.get("key") == b"value"


async def test_another_prefix_is_another_cache(memcached_servers: str) -> None:
    async with started(on_memcached(memcached_servers)) as one, started(on_memcached(memcached_servers)) as other:
        await one.put("key", b"value", seconds=60)

        assert await other.get("key") is None


async def test_a_prefix_that_leaves_no_room_for_a_key_is_shortened_and_still_its_own(memcached_servers: str) -> None:
    """A topic prefix may have 100 characters, and Memcached allows 250 for prefix and key together."""
    one_prefix, other_prefix = (f"{'p' * (SERVER_KEY_MOST - KEY_MOST + 60)}{a_prefix()}" for _ in range(2))
    key = "k" * KEY_MOST
    async with (
        started(on_memcached(memcached_servers, one_prefix)) as one,
        started(on_memcached(memcached_servers, one_prefix)) as again,
        started(on_memcached(memcached_servers, other_prefix)) as other,
    ):
        await one.put(key, b"value", seconds=60)

        assert await again.get(key) == b"value"
        assert await other.get(key) is None


@pytest.mark.parametrize("length", [0, 5, VALUE_MOST + 1])
async def test_what_somebody_else_left_under_a_key_is_a_miss_and_may_be_replaced(
    memcached_servers: str, length: int
) -> None:
    prefix = a_prefix()
    async with started(on_memcached(memcached_servers, prefix)) as cache:
        left = await Raw(memcached_servers).say(
            b"set %bkey 0 60 %d\r\n%b\r\n" % (prefix.encode(), length, b"x" * length)
        )

        assert left == b"STORED\r\n"
        assert await cache.get("key") is None
        await cache.put("key", b"value", seconds=60)
        assert await cache.get("key") == b"value"
        assert cache.trouble is None


async def test_a_wiped_memcached_is_an_empty_cache(server: Memcached) -> None:
    async with started(on_memcached(server.address)) as cache:
        await cache.put("key", b"value", seconds=60)
        assert await Raw(server.address).say(b"flush_all\r\n") == b"OK\r\n"

        assert await cache.get("key") is None


async def test_it_holds_no_more_connections_than_it_was_given(server: Memcached) -> None:
    async with started(on_memcached(server.address, seconds=10)) as cache:
        await asyncio.gather(*(cache.get(f"key:{number}") for number in range(500)))
        link = MemcachedLink("127.0.0.1", server.port)
        await link.open()
        numbers = await link._say(b"stats\r\n")
        while b"curr_connections" not in numbers:
            numbers = await link._open[0].readuntil(b"\r\n")
        await link.close()

    assert int(numbers.split()[-1]) <= 16 + 1 + 2  # it counts what it listens on as well


@pytest.fixture(scope="module")
def second_server() -> Iterator[Memcached]:
    with private(Memcached) as server:
        yield server


async def test_of_several_servers_each_has_its_share(server: Memcached, second_server: Memcached) -> None:
    prefix, keys = a_prefix(), [f"key:{number}" for number in range(200)]
    async with (
        started(on_memcached(f"{server.address},{second_server.address}", prefix)) as both,
        started(on_memcached(server.address, prefix)) as one,
        started(on_memcached(second_server.address, prefix)) as other,
    ):
        for key in keys:
            await both.put(key, b"value", seconds=60)
        there = [key for key in keys if await one.get(key)]
        elsewhere = [key for key in keys if await other.get(key)]

    assert sorted(there + elsewhere) == sorted(keys)
    assert min(len(there), len(elsewhere)) > 60


async def test_the_order_in_which_servers_are_named_does_not_matter(
    server: Memcached, second_server: Memcached
) -> None:
    prefix, keys = a_prefix(), [f"key:{number}" for number in range(50)]
    servers = [server.address, second_server.address]
    async with (
        started(on_memcached(",".join(servers), prefix)) as one,
        started(on_memcached(",".join(reversed(servers)), prefix)) as other,
    ):
        for key in keys:
            await one.put(key, key.encode(), seconds=60)

        assert [await other.get(key) for key in keys] == [key.encode() for key in keys]


async def test_when_one_of_several_is_away_its_keys_are_not_remembered_and_the_others_are(
    server: Memcached, second_server: Memcached
) -> None:
    prefix, keys = a_prefix(), [f"key:{number}" for number in range(100)]
    async with started(on_memcached(f"{server.address},{second_server.address}", prefix)) as cache:
        for key in keys:
            await cache.put(key, key.encode(), seconds=60)
        await asyncio.to_thread(server.kill)

        async with asyncio.timeout(CacheOutageContract.in_time):
            found = [await cache.get(key) for key in keys]

        assert set(found) > {None}
        assert all(value in {None, key.encode()} for key, value in zip(keys, found, strict=True))
        assert 30 < found.count(None) < 70
        assert cache.trouble is not None
        assert server.address in cache.trouble
        assert second_server.address not in cache.trouble
