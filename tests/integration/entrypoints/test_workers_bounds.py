"""What bounds callers when several processes answer on one port."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg  # type: ignore[import-untyped]
import httpx

from tests.integration.cache.servers import a_prefix
from tests.integration.entrypoints.api import PATIENCE, Api, becomes
from tests.integration.entrypoints.conftest import Start

LIMIT = 12

Pair = tuple[httpx.AsyncClient, httpx.AsyncClient]


@asynccontextmanager
async def a_connection_to_each(api: Api) -> AsyncIterator[Pair]:
    """Kept alive, so that who asks over it knows which process answers.

    The others stand still while it is made: whoever has the socket may take it.
    """
    one, other = (httpx.AsyncClient(base_url=api.address, timeout=30) for _ in range(2))
    async with one, other:
        for client, kept_out in zip((one, other), api.children, strict=True):
            os.kill(kept_out, signal.SIGSTOP)
            try:
                assert (await client.get("/livez")).status_code == 200
            finally:
                os.kill(kept_out, signal.SIGCONT)
        yield one, other


async def asked_in_turns(clients: Pair, times: int) -> list[Counter[int]]:
    """How often each process has answered what."""
    answers = [Counter[int](), Counter[int]()]
    for _ in range(times):
        for told, client in zip(answers, clients, strict=True):
            told[(await client.get("/orders/")).status_code] += 1
    return answers


async def test_a_limit_counted_by_redis_holds_over_all_of_them(migrated: str, start: Start, redis_url: str) -> None:
    shared = {
        "CROSSDOCK_CACHE": "redis",
        "REDIS_URL": redis_url,
        "CROSSDOCK_TOPIC_PREFIX": a_prefix().replace(":", "-"),
    }
    api = start(migrated, "--workers", "2", CROSSDOCK_RATE_LIMIT=f"{LIMIT}/hour", **shared)
    assert await asyncio.to_thread(becomes, api.answers), api.log

    async with a_connection_to_each(api) as clients:
        answers = await asked_in_turns(clients, LIMIT)

    assert answers == [{200: LIMIT / 2, 429: LIMIT / 2}] * 2, api.log


async def test_a_limit_in_memory_is_one_of_each_of_them(migrated: str, start: Start) -> None:
    """Two grant twice as much, and never more."""
    api = start(migrated, "--workers", "2", CROSSDOCK_RATE_LIMIT=f"{LIMIT}/hour")
    assert await asyncio.to_thread(becomes, api.answers), api.log

    async with a_connection_to_each(api) as clients:
        answers = await asked_in_turns(clients, LIMIT + 3)

    assert answers == [{200: LIMIT, 429: 3}] * 2, api.log


async def test_each_of_them_works_on_so_many_requests_at_once(migrated: str, start: Start) -> None:
    api = start(migrated, "--workers", "2", CROSSDOCK_MAX_IN_FLIGHT="1")
    assert await asyncio.to_thread(becomes, api.answers), api.log
    database = await asyncpg.connect(migrated)

    async with a_connection_to_each(api) as clients, a_connection_to_each(api) as others:
        holding = database.transaction()
        await holding.start()
        await database.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        waiting = [asyncio.create_task(client.get("/orders/")) for client in clients]
        await until_locked_out(database, len(waiting))
        refused = [await client.get("/orders/") for client in others]
        await holding.rollback()
        served = [await each for each in waiting]
        again = [await client.get("/orders/") for client in others]
    with suppress(OSError):
        await database.close()

    assert [(each.status_code, each.json()["code"]) for each in refused] == [(503, "overloaded")] * 2
    assert [each.status_code for each in [*served, *again]] == [200] * 4


async def until_locked_out(database: asyncpg.Connection, number: int) -> None:
    """Return when so many sessions of this database wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(PATIENCE):
        while await database.fetchval(waiting) < number:  # noqa: ASYNC110 they are other processes
            await asyncio.sleep(0.01)
