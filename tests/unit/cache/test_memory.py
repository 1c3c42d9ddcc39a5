"""The cache in memory keeps the promises of the port, within its bounds."""

from typing import ClassVar

import pytest

from adapters.cache.memory import MemoryCache
from ports.cache import Cache
from tests.clock import ManualClock
from tests.contracts.cache import CacheContract, PassTime
from tests.contracts.cache_outage import CacheOutageContract


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class TestMemoryCache(CacheContract):
    @pytest.fixture
    def cache(self, clock: ManualClock) -> MemoryCache:
        return MemoryCache(clock)

    @pytest.fixture
    def pass_time(self, clock: ManualClock) -> PassTime:
        return clock.advance


class TestMemoryCacheOutage(CacheOutageContract):
    """It is its own server: stopped, it knows nothing and keeps nothing."""

    patience: ClassVar[float] = 1.0

    @pytest.fixture
    def cache(self, clock: ManualClock) -> Cache:
        return MemoryCache(clock)

    async def take_away(self, cache: Cache) -> None:
        await cache.stop()

    async def bring_back(self, cache: Cache) -> None:
        await cache.start()


async def test_beyond_its_number_of_entries_it_forgets_the_least_recently_used(clock: ManualClock) -> None:
    cache = MemoryCache(clock, most_entries=2)
    await cache.put("a", b"1", seconds=60)
    await cache.put("b", b"2", seconds=60)
    await cache.get("a")

    await cache.put("c", b"3", seconds=60)

    assert [await cache.get(key) for key in ("a", "b", "c")] == [b"1", None, b"3"]


async def test_beyond_its_bytes_it_forgets_as_many_as_must_go(clock: ManualClock) -> None:
    cache = MemoryCache(clock, most_bytes=10_000)
    for key in ("a", "b", "c"):
        await cache.put(key, b"x" * 3000, seconds=60)

    await cache.put("d", b"x" * 6000, seconds=60)

    assert [await cache.get(key) is None for key in ("a", "b", "c", "d")] == [True, True, False, False]


async def test_small_values_count_for_what_they_cost(clock: ManualClock) -> None:
    cache = MemoryCache(clock, most_entries=1_000_000, most_bytes=100_000)

    for number in range(1000):
        await cache.put(str(number), b"", seconds=60)

    assert await cache.get("0") is None


async def test_a_value_larger_than_the_cache_pushes_nothing_out(clock: ManualClock) -> None:
    cache = MemoryCache(clock, most_bytes=10_000)
    await cache.put("small", b"value", seconds=60)
    await cache.put("large", b"old", seconds=60)

    await cache.put("large", b"x" * 20_000, seconds=60)

    assert await cache.get("large") is None
    assert await cache.get("small") == b"value"


async def test_replaced_dropped_and_expired_entries_free_their_bytes(clock: ManualClock) -> None:
    cache = MemoryCache(clock, most_bytes=10_000)
    await cache.put("kept", b"x" * 4000, seconds=3600)
    for _ in range(10):
        await cache.put("replaced", b"x" * 4000, seconds=60)
    await cache.drop("replaced")
    await cache.put("expiring", b"x" * 4000, seconds=1)
    await clock.advance(1)
    await cache.get("expiring")

    await cache.put("new", b"x" * 4000, seconds=60)

    assert await cache.get("kept") is not None
    assert await cache.get("new") is not None


async def test_a_wall_clock_that_jumps_ages_nothing(clock: ManualClock) -> None:
    cache = MemoryCache(clock)
    await cache.put("key", b"value", seconds=60)

    clock.jump(3600)

    assert await cache.get("key") == b"value"
