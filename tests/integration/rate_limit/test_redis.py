"""A rate limit that several processes share by a real Redis, and that lives without it."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from adapters.clock import SystemClock
from adapters.rate_limit.redis import RedisRateLimit
from adapters.redis_client import RedisClient
from ports.rate_limit import RateLimit
from tests.contracts.rate_limit import PassTime, RateLimitContract
from tests.integration.cache.servers import a_client, a_prefix
from tests.services import private
from tools.services.redis import Redis


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[RedisClient]:
    client = a_client(redis_url, seconds=5)  # whatever else the machine does
    await client.start()
    yield client
    await client.stop()


def a_limit(client: RedisClient, prefix: str, count: int = 5, seconds: int = 1) -> RedisRateLimit:
    return RedisRateLimit(client, prefix, count, seconds, clock=SystemClock())


class TestRedisRateLimit(RateLimitContract):
    @pytest.fixture
    def limit(self, client: RedisClient) -> RateLimit:
        return a_limit(client, a_prefix(), self.COUNT, self.SECONDS)

    @pytest.fixture
    def pass_time(self) -> PassTime:
        async def passed(seconds: float) -> None:
            await asyncio.sleep(seconds + 0.02)  # what was granted here ends a moment later than at the server

        return passed


async def test_processes_share_it(client: RedisClient) -> None:
    prefix = a_prefix()
    limits = [a_limit(client, prefix, count=20, seconds=60) for _ in range(5)]

    standings = await asyncio.gather(*(limit.take("ann") for limit in limits for _ in range(20)))

    assert sum(standing.wait == 0 for standing in standings) == 20


async def test_another_prefix_is_another_limit(client: RedisClient) -> None:
    one, other = a_limit(client, a_prefix(), count=1), a_limit(client, a_prefix(), count=1)

    assert [(await one.take("ann")).wait, (await other.take("ann")).wait] == [0, 0]


async def test_without_redis_each_process_counts_by_itself_and_nobody_waits() -> None:
    with private(Redis) as server:
        client = a_client(server.address)
        await client.start()
        limit = a_limit(client, a_prefix(), count=10, seconds=60)
        before = [await limit.take("ann") for _ in range(4)]

        await asyncio.to_thread(server.kill)
        started = time.monotonic()
        after = [await limit.take("ann") for _ in range(10)]
        took = time.monotonic() - started
        await client.stop()

    assert [standing.wait for standing in before] == [0] * 4
    assert sum(standing.wait == 0 for standing in after) == 6  # what Redis had granted is not forgotten
    assert took < 2


async def test_a_redis_that_stands_still_holds_up_no_request_for_long() -> None:
    with private(Redis) as server:
        client = a_client(server.address)
        await client.start()
        limit = a_limit(client, a_prefix(), count=100, seconds=60)

        await asyncio.to_thread(server.freeze)
        started = time.monotonic()
        standings = await asyncio.gather(*(limit.take("ann") for _ in range(50)))
        took = time.monotonic() - started
        await asyncio.to_thread(server.thaw)
        await client.stop()

    assert [standing.wait for standing in standings] == [0] * 50
    assert took < 2
