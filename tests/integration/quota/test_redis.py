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
from tests.clock import ManualClock
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


def a_quota(
    client: RedisClient, key: str, count: int = 5, seconds: float = 1.0, clock: ManualClock | None = None
) -> RedisQuota:
    return RedisQuota(client, key, count, seconds, clock=clock or SystemClock())


def kept_at(key: str, seconds: float = 1.0) -> str:
    """Where a quota keeps its count."""
    return f"{key}:{seconds:g}"


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


async def test_so_many_at_once_that_not_all_reach_redis_get_no_more(redis_url: str) -> None:
    """Who finds no connection has learnt nothing of Redis, least of all that it is away."""
    key = a_prefix()
    clients = [a_client(redis_url) for _ in range(2)]
    for client in clients:
        await client.start()
    quotas = [a_quota(client, key, count=60, seconds=60) for client in clients]

    waits = await asyncio.gather(*(quota.take() for _ in range(1500) for quota in quotas))
    for client in clients:
        await client.stop()

    assert 0 < waits.count(0) <= 60
    assert min(wait for wait in waits if wait) >= 0.05  # for those who come again not to crowd it more


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


async def test_of_another_window_is_another_count(client: RedisClient) -> None:
    """While settings change, processes with the old and the new ones run at once: none cuts short what others count."""
    key = a_prefix()
    by_day, by_second = a_quota(client, key, count=3, seconds=86400), a_quota(client, key, count=3, seconds=0.2)
    assert [await by_day.take() for _ in range(3)] == [0, 0, 0]

    assert await by_second.take() == 0
    await asyncio.sleep(0.25)
    await by_second.left()

    assert await a_quota(client, key, count=3, seconds=86400).take() > 80_000


async def test_processes_with_other_counts_and_one_window_count_together(client: RedisClient) -> None:
    key = a_prefix()
    small, large = a_quota(client, key, count=2, seconds=60), a_quota(client, key, count=5, seconds=60)

    assert [await large.take() for _ in range(3)] == [0, 0, 0]
    assert await small.take() > 0
    assert [await large.take() == 0 for _ in range(3)] == [True, True, False]


async def test_the_key_stays_and_what_counts_no_more_is_dropped_from_it(client: RedisClient, raw: Any) -> None:
    """A key that expires would be the first that a Redis throws away for want of memory."""
    key = a_prefix()
    quota = a_quota(client, key, seconds=0.3)
    for _ in range(3):
        await quota.take()
    await asyncio.sleep(0.35)
    await quota.take()

    assert await raw.ttl(kept_at(key, 0.3)) == -1
    assert (await raw.get(kept_at(key, 0.3))).count(b":") == 1


async def test_a_large_quota_stays_small_in_redis(client: RedisClient, raw: Any) -> None:
    key, count = a_prefix(), 2 * EXACT_MOST
    quota = a_quota(client, key, count=count, seconds=60)
    for _ in range(8):
        await asyncio.gather(*(quota.take() for _ in range(count // 8)))

    assert await quota.take() > 0
    assert 0 < await raw.strlen(kept_at(key, 60)) < 30 * EXACT_MOST


@pytest.mark.parametrize("poison", [b"nonsense", b"1:", b"1/2/", b"/// 1:5", b"\xff\xfe", b""])
async def test_what_is_no_count_is_none(client: RedisClient, raw: Any, poison: bytes) -> None:
    key = a_prefix()
    await raw.set(kept_at(key), poison, ex=60)

    assert await a_quota(client, key).take() == 0
    assert await a_quota(client, key).left() == 4


async def test_what_is_of_another_kind_is_replaced(client: RedisClient, raw: Any) -> None:
    key = a_prefix()
    await raw.rpush(kept_at(key), "x")

    assert await a_quota(client, key).take() == 0
    assert await a_quota(client, key).left() == 4


@pytest.mark.parametrize("shut", ["0", "9999999999000000"])
async def test_a_clock_that_was_set_back_holds_nobody_up_longer_than_a_window(
    client: RedisClient, raw: Any, shut: str
) -> None:
    """What it counted seems to lie far ahead afterwards."""
    key, an_hour_ahead = a_prefix(), int((time.time() + 3600) * 1_000_000)
    await raw.set(kept_at(key), f"{an_hour_ahead}/5/{shut} {an_hour_ahead}:5", ex=60)
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
    client = a_client(server.address, seconds=5, rest_seconds=0.05)
    await client.start()
    yield client
    await client.stop()


@pytest.fixture
async def hasty(server: Redis) -> AsyncIterator[RedisClient]:
    """Waits no longer than it does in service."""
    client = a_client(server.address, rest_seconds=0.05)
    await client.start()
    yield client
    await client.stop()


@pytest.fixture
async def other_of_its_own(server: Redis) -> AsyncIterator[RedisClient]:
    """Another process's."""
    client = a_client(server.address, seconds=5, rest_seconds=0.05)
    await client.start()
    yield client
    await client.stop()


@pytest.fixture
def clock() -> ManualClock:
    """The processes' own; Redis has another."""
    return ManualClock()


async def wiped(server: Redis) -> None:
    wiper: Any = redis.asyncio.Redis.from_url(server.address)
    await wiper.flushall()
    await wiper.aclose()


@pytest.mark.parametrize("way", ["kill", "freeze"])
async def test_while_redis_is_away_a_tenth_is_granted_for_a_window_and_then_half_and_in_time(
    hasty: RedisClient, server: Redis, clock: ManualClock, way: str
) -> None:
    """Others may have been granted all of it just before; a request is answered all the same."""
    quota = a_quota(hasty, a_prefix(), count=20, seconds=60, clock=clock)
    await asyncio.to_thread(getattr(server, way))

    async with asyncio.timeout(1):
        at_first = await asyncio.gather(*(quota.take() for _ in range(30)))
        assert await quota.left() == 0
    assert (quota.trouble or "").endswith(", and by itself each process uses no more than 2 of 20")
    await clock.advance(59.9)
    shortly_before = await quota.take()
    await clock.advance(0.1)
    assert await quota.left() == 10
    assert (quota.trouble or "").endswith(", and by itself each process uses no more than 10 of 20")
    async with asyncio.timeout(1):
        later = await asyncio.gather(*(quota.take() for _ in range(30)))

    assert at_first.count(0) == 2
    assert all(wait <= 1 for wait in at_first), "it may be back any moment"
    assert 0 < shortly_before < 0.2
    assert later.count(0) == 10
    assert await quota.left() == 0


async def test_hardly_anything_of_what_another_was_granted_before_redis_was_killed_is_granted_again(
    of_its_own: RedisClient, other_of_its_own: RedisClient, server: Redis
) -> None:
    key = a_prefix()
    one, other = (a_quota(client, key, count=10, seconds=60) for client in (of_its_own, other_of_its_own))
    granted = [await one.take() for _ in range(15)]
    await asyncio.to_thread(server.kill)

    granted += [await quota.take() for _ in range(10) for quota in (one, other)]

    assert granted.count(0) == 11


async def test_each_outage_has_a_window_of_its_own(of_its_own: RedisClient, server: Redis, clock: ManualClock) -> None:
    """Between two of them others may have been granted all of it."""
    quota = a_quota(of_its_own, a_prefix(), count=10, seconds=60, clock=clock)
    await asyncio.to_thread(server.kill)
    assert [await quota.take() == 0 for _ in range(2)] == [True, False]
    await clock.advance(59)
    await asyncio.to_thread(server.start)
    await back(of_its_own)
    assert await quota.left() == 9
    await asyncio.to_thread(server.kill)
    await clock.advance(1)
    assert [await quota.take() == 0 for _ in range(2)] == [True, False]
    await clock.advance(58)

    assert await quota.take() > 0


async def test_a_quota_of_one_still_grants_one(of_its_own: RedisClient, server: Redis, clock: ManualClock) -> None:
    quota = a_quota(of_its_own, a_prefix(), count=1, seconds=60, clock=clock)
    await asyncio.to_thread(server.kill)

    assert [await quota.take() == 0 for _ in range(3)] == [True, False, False]


async def back(client: RedisClient) -> None:
    async with asyncio.timeout(20):
        while client.trouble:
            await asyncio.sleep(0.02)
            await a_quota(client, a_prefix()).left()


async def test_what_was_granted_meanwhile_is_told_to_redis_when_it_is_back(
    of_its_own: RedisClient, server: Redis, clock: ManualClock
) -> None:
    key = a_prefix()
    quota = a_quota(of_its_own, key, count=10, seconds=60, clock=clock)
    await asyncio.to_thread(server.kill)
    assert await quota.take() == 0
    await clock.advance(60)
    assert [await quota.take() for _ in range(3)] == [0, 0, 0]
    await asyncio.to_thread(server.start)
    await back(of_its_own)

    await quota.left()

    assert quota.trouble is None
    assert await a_quota(of_its_own, key, count=10, seconds=60).left() == 7


async def test_two_that_granted_by_themselves_stay_within_it_also_when_redis_is_back(
    of_its_own: RedisClient, other_of_its_own: RedisClient, server: Redis, clock: ManualClock
) -> None:
    """The one does not take what the other has not told yet."""
    key = a_prefix()
    one, other = (a_quota(client, key, count=10, seconds=60, clock=clock) for client in (of_its_own, other_of_its_own))
    await asyncio.to_thread(server.kill)
    assert [await quota.take() for quota in (one, other)] == [0, 0]
    await clock.advance(60)
    granted = [await quota.take() for _ in range(10) for quota in (one, other)]
    assert granted.count(0) == 10
    await asyncio.to_thread(server.start)
    await back(of_its_own)
    await back(other_of_its_own)

    granted += await asyncio.gather(*(one.take() for _ in range(30)))
    granted += await asyncio.gather(*(other.take() for _ in range(30)))

    assert granted.count(0) == 10


# When Redis forgets


async def test_after_a_wipe_nothing_is_granted_until_all_is_past_that_it_may_have_forgotten(
    of_its_own: RedisClient, other_of_its_own: RedisClient, server: Redis
) -> None:
    """Neither to who was granted it nor to others who know that there was something, nor to who starts afterwards."""
    key, seconds = a_prefix(), 0.6
    one, other = (a_quota(client, key, count=10, seconds=seconds) for client in (of_its_own, other_of_its_own))
    await other.left()
    granted = [await one.take() for _ in range(8)]
    await wiped(server)
    since = time.monotonic()

    granted += await asyncio.gather(*(other.take() for _ in range(10)))
    newcomer = a_quota(other_of_its_own, key, count=10, seconds=seconds)
    granted += await asyncio.gather(*(newcomer.take() for _ in range(10)))
    granted += await asyncio.gather(*(one.take() for _ in range(10)))
    assert time.monotonic() - since < seconds, "too slow to tell"
    assert granted.count(0) == 8
    assert [await quota.left() for quota in (one, other, newcomer)] == [0, 0, 0]

    await asyncio.sleep(since + seconds + 0.1 - time.monotonic())
    assert (await asyncio.gather(*(other.take() for _ in range(20)))).count(0) == 10


async def test_a_wipe_that_another_starts_after_is_noticed_by_who_was_there_before(
    of_its_own: RedisClient, server: Redis
) -> None:
    key = a_prefix()
    standing = a_quota(of_its_own, key, count=10, seconds=60)
    await standing.take()
    await wiped(server)
    newcomer = a_quota(of_its_own, key, count=10, seconds=60)
    assert await newcomer.take() == 0, "who has just started knows of nothing"

    assert await standing.take() > 0
    assert await newcomer.take() > 0


async def test_who_has_used_all_of_it_notices_a_wipe_too_when_asked_for_more(
    of_its_own: RedisClient, server: Redis, clock: ManualClock
) -> None:
    key = a_prefix()
    full = a_quota(of_its_own, key, count=10, seconds=60, clock=clock)
    granted = [await full.take() for _ in range(12)]
    await clock.advance(1)
    await wiped(server)

    granted.append(await full.take())
    newcomer = a_quota(of_its_own, key, count=10, seconds=60)
    granted += [await newcomer.take() for _ in range(10)]

    assert granted.count(0) == 10


async def test_an_older_count_that_comes_back_is_as_good_as_none(of_its_own: RedisClient, server: Redis) -> None:
    """As from a snapshot, or from a replica that had not heard all."""
    key, kept = a_prefix(), kept_at("", 60)
    one, other = (a_quota(of_its_own, key, count=10, seconds=60) for _ in range(2))
    await one.take()
    boss: Any = redis.asyncio.Redis.from_url(server.address)
    snapshot = await boss.get(key + kept)
    granted = [0.0, *[await one.take() for _ in range(6)]]
    await other.left()
    await boss.set(key + kept, snapshot)
    await boss.aclose()

    granted += await asyncio.gather(*(quota.take() for _ in range(10) for quota in (other, one)))

    assert granted.count(0) == 7


async def test_a_redis_that_started_without_a_count_grants_all_of_it_at_once(
    of_its_own: RedisClient, server: Redis
) -> None:
    """Nothing is lost where nothing was known: the first start is no outage."""
    await wiped(server)

    waits = await asyncio.gather(*(a_quota(of_its_own, "new", 10, 60).take() for _ in range(12)))

    assert waits.count(0) == 10
