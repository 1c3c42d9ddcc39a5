"""A quota that several clients and several processes share by a real Redis."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from adapters.clock import SystemClock
from adapters.moving_window import EXACT_MOST
from adapters.quota.redis import RedisQuota
from adapters.redis_client import RedisClient
from ports.quota import Quota
from tests.contracts.quota import PassTime, QuotaContract
from tests.integration.cache.servers import a_client, a_prefix
from tests.services import private
from tools.services.redis import Redis

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[RedisClient]:
    client = a_client(redis_url, seconds=5)  # whatever else the machine does
    await client.start()
    yield client
    await client.stop()


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Any]:
    client: Any = redis.asyncio.Redis.from_url(redis_url)
    yield client
    await client.aclose()


def a_quota(client: RedisClient, key: str, count: int = 5, seconds: float = 1.0) -> RedisQuota:
    return RedisQuota(client, key, count, seconds, clock=SystemClock())


class TestRedisQuota(QuotaContract):
    @pytest.fixture
    def quota(self, client: RedisClient) -> Quota:
        return a_quota(client, a_prefix(), self.COUNT, self.SECONDS)

    @pytest.fixture
    def pass_time(self) -> PassTime:
        async def passed(seconds: float) -> None:
            await asyncio.sleep(seconds + 0.002)  # a timer of the loop may be a little early

        return passed


async def test_several_clients_share_it(client: RedisClient) -> None:
    key = a_prefix()
    quotas = [a_quota(client, key, count=20, seconds=60) for _ in range(10)]

    waits = await asyncio.gather(*(quota.take() for quota in quotas for _ in range(10)))

    assert waits.count(0) == 20
    assert [await quota.left() for quota in quotas] == [0] * 10


async def test_another_key_is_another_quota(client: RedisClient) -> None:
    one, other = a_quota(client, a_prefix(), count=1), a_quota(client, a_prefix(), count=1)

    assert [await one.take(), await other.take()] == [0, 0]


async def test_in_no_window_do_several_clients_get_more(client: RedisClient) -> None:
    """For two seconds, each asking as fast as it can. The moments around each grant bound when it was counted."""
    key, count, seconds = a_prefix(), 7, 0.4
    granted: list[tuple[float, float]] = []

    async def greedy(quota: Quota, until: float) -> None:
        while (before := time.monotonic()) < until:
            if await quota.take() == 0:
                granted.append((before, time.monotonic()))

    until = time.monotonic() + 2
    await asyncio.gather(*(greedy(a_quota(client, key, count, seconds), until) for _ in range(4)))

    for _, after in granted:  # surely counted in the window that begins here: what was asked later and had its answer
        assert sum(after <= asked and got < after + seconds for asked, got in granted) <= count
    assert len(granted) >= count * 4


PROCESS = """
import asyncio, sys
from tests.integration.cache.servers import a_client
from tests.integration.quota.test_redis import a_quota

async def main(url, key):
    client = a_client(url, seconds=5)
    await client.start()
    waits = await asyncio.gather(*(a_quota(client, key, count=30, seconds=60).take() for _ in range(25)))
    await client.stop()
    print(waits.count(0))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_several_processes_share_it(redis_url: str) -> None:
    command = [sys.executable, "-c", PROCESS, redis_url, a_prefix()]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": ""}
    processes = [
        await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
        for _ in range(3)
    ]

    outputs = [await process.communicate() for process in processes]

    assert sum(int(output) for output, _ in outputs) == 30


async def test_the_key_ends_when_nothing_counts_any_more(client: RedisClient, raw: Any) -> None:
    key = a_prefix()
    quota = a_quota(client, key, seconds=0.3)
    await quota.take()
    await quota.take()

    assert 0 < await raw.pttl(key) <= 301
    await asyncio.sleep(0.35)
    assert not await raw.exists(key)


async def test_a_large_quota_stays_small_in_redis(client: RedisClient, raw: Any) -> None:
    key, count = a_prefix(), 2 * EXACT_MOST
    quota = a_quota(client, key, count=count, seconds=60)
    for _ in range(8):
        await asyncio.gather(*(quota.take() for _ in range(count // 8)))

    assert await quota.take() > 0
    assert await raw.strlen(key) < 30 * EXACT_MOST


@pytest.mark.parametrize("poison", [b"nonsense", b"1:", b"\xff\xfe", b""])
async def test_what_is_no_count_is_none(client: RedisClient, raw: Any, poison: bytes) -> None:
    key = a_prefix()
    await raw.set(key, poison, ex=60)

    assert await a_quota(client, key).take() == 0
    assert await a_quota(client, key).left() == 4


async def test_what_is_of_another_kind_is_replaced(client: RedisClient, raw: Any) -> None:
    key = a_prefix()
    await raw.rpush(key, "x")

    assert await a_quota(client, key).take() == 0
    assert await a_quota(client, key).left() == 4


async def test_a_clock_that_was_set_back_holds_nobody_up_longer_than_a_window(client: RedisClient, raw: Any) -> None:
    """What it counted seems to lie far ahead afterwards."""
    key, an_hour_ahead = a_prefix(), int((time.time() + 3600) * 1_000_000)
    await raw.set(key, f"{an_hour_ahead}:5", ex=60)
    quota = a_quota(client, key)

    assert await quota.left() == 0
    assert 0 < await quota.take() <= 1
    await asyncio.sleep(1.01)
    assert await quota.take() == 0


# When Redis is away


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


@pytest.fixture
async def of_its_own(server: Redis) -> AsyncIterator[RedisClient]:
    client = a_client(server.address, rest_seconds=0.05)
    await client.start()
    yield client
    await client.stop()


@pytest.mark.parametrize("way", ["kill", "freeze"])
async def test_while_redis_is_away_a_process_grants_half_by_itself_and_in_time(
    of_its_own: RedisClient, server: Redis, way: str
) -> None:
    quota = a_quota(of_its_own, a_prefix(), count=10, seconds=60)
    await asyncio.to_thread(getattr(server, way))

    async with asyncio.timeout(1):
        waits = await asyncio.gather(*(quota.take() for _ in range(30)))

    assert waits.count(0) == 5
    assert await quota.left() == 0


async def test_what_was_used_before_counts_while_redis_is_away(of_its_own: RedisClient, server: Redis) -> None:
    quota = a_quota(of_its_own, a_prefix(), count=10, seconds=60)
    for _ in range(4):
        await quota.take()
    await asyncio.to_thread(server.kill)

    waits = [await quota.take() for _ in range(10)]

    assert waits.count(0) == 1


async def test_a_quota_of_one_still_grants_one(of_its_own: RedisClient, server: Redis) -> None:
    quota = a_quota(of_its_own, a_prefix(), count=1, seconds=60)
    await asyncio.to_thread(server.kill)

    assert [await quota.take() == 0 for _ in range(3)] == [True, False, False]


async def back(client: RedisClient) -> None:
    async with asyncio.timeout(20):
        while client.trouble:
            await asyncio.sleep(0.02)
            await a_quota(client, a_prefix()).left()


async def test_what_was_granted_meanwhile_is_told_to_redis_when_it_is_back(
    of_its_own: RedisClient, server: Redis
) -> None:
    key = a_prefix()
    quota = a_quota(of_its_own, key, count=10, seconds=60)
    await asyncio.to_thread(server.kill)
    assert [await quota.take() for _ in range(3)] == [0, 0, 0]
    await asyncio.to_thread(server.start)
    await back(of_its_own)

    assert await quota.left() == 7
    assert await a_quota(of_its_own, key, count=10, seconds=60).left() == 7


async def test_a_redis_that_comes_back_empty_does_not_let_a_process_pass_its_quota(
    of_its_own: RedisClient, server: Redis
) -> None:
    quota = a_quota(of_its_own, a_prefix(), count=10, seconds=60)
    granted = [await quota.take() for _ in range(8)]
    wiper: Any = redis.asyncio.Redis.from_url(server.address)
    await wiper.flushall()
    await wiper.aclose()

    granted += [await quota.take() for _ in range(8)]

    assert granted.count(0) == 10
