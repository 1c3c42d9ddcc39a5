"""Whether what was answered 201 is there, and whether each order has what belongs to it; read from the database."""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Any

from bench.engines.databases import connected

DRAIN_SECONDS = 60.0
POLL_SECONDS = 0.05

_LEFT = "SELECT count(*) FROM deliveries"
_PLACED_ONCE = """
    SELECT count(*) FROM orders JOIN (
        SELECT subject FROM deliveries WHERE lane = 'event' AND name = 'crossdock.order.created.v1'
        GROUP BY subject HAVING count(*) = 1
    ) AS once ON once.subject = orders.id
    WHERE orders.status = 'placed' AND orders.version = 1"""
_CONFIRMED_ONCE = """
    SELECT count(*) FROM orders
    JOIN lanes ON lanes.topic = 'order_events' AND lanes.subject = orders.id AND lanes.version = 1
    WHERE orders.status = 'confirmed' AND orders.version = 2"""


def answered_faults(answered: Sequence[str], there: Collection[str]) -> list[str]:
    """What was promised and is not there."""
    told, found = set(answered), set(there)
    faults = []
    if len(told) != len(answered):
        faults.append(f"{len(answered) - len(told)} answers had the id of another")
    if missing := told - found:
        faults.append(f"{len(missing)} of {len(told)} that were answered 201 are not there")
    return faults


def recorded_faults(url: str, answered: Sequence[str]) -> list[str]:
    """Where orders are only taken: each is placed, with one event that tells of it."""

    async def look(connection: Any) -> list[str]:
        there = [row[0] for row in await connection.fetch("SELECT id FROM orders")]
        faults = answered_faults(answered, there)
        if (right := await connection.fetchval(_PLACED_ONCE)) != len(there):
            faults.append(f"{len(there) - right} of {len(there)} orders are not placed with exactly one recorded event")
        return faults

    return connected(url, look)


def drained_faults(url: str, answered: Sequence[str]) -> list[str]:
    """Where everything is done: each order is confirmed once, and nothing is left, dead or alive."""

    async def look(connection: Any) -> list[str]:
        there = [row[0] for row in await connection.fetch("SELECT id FROM orders")]
        faults = answered_faults(answered, there)
        if (right := await connection.fetchval(_CONFIRMED_ONCE)) != len(there):
            faults.append(f"{len(there) - right} of {len(there)} orders are not confirmed exactly once")
        if (handled := await connection.fetchval("SELECT count(*) FROM inbox")) != len(there):
            faults.append(f"{handled} events were handled for {len(there)} orders")
        rows = await connection.fetch("SELECT lane, state, count(*) FROM deliveries GROUP BY lane, state")
        faults += [f"{number} deliveries are left: lane {lane}, state {state}" for lane, state, number in rows]
        return faults

    return connected(url, look)


def seconds_to_drain(url: str) -> float:
    """Until nothing is left to deliver; the bound when something still is then, which the ledger tells."""

    async def wait(connection: Any) -> float:
        began = time.perf_counter()
        while await connection.fetchval(_LEFT) and time.perf_counter() - began < DRAIN_SECONDS:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(POLL_SECONDS)
        return time.perf_counter() - began

    return connected(url, wait)
