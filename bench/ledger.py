"""Whether what was answered 201 is there, and whether each order has what belongs to it; read from the file itself."""

import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

DRAIN_SECONDS = 60.0
POLL_SECONDS = 0.02

_ORDERS = "SELECT count(*) FROM orders"
_LEFT = "SELECT count(*) FROM deliveries"
_PLACED_ONCE = """
    SELECT count(*) FROM orders JOIN (
        SELECT subject FROM deliveries WHERE lane = 'event' AND name = 'crossdock.order.created.v1'
        GROUP BY subject HAVING count(*) = 1
    ) AS once ON once.subject = orders.id
    WHERE orders.status = 'placed' AND orders.version = 1"""
# Handled once: the lane of its topic and subject has moved by one, and the order with it.
_CONFIRMED_ONCE = """
    SELECT count(*) FROM orders JOIN lanes ON lanes.topic = 'order_events' AND lanes.subject = orders.id
    WHERE orders.status = 'confirmed' AND orders.version = 2 AND lanes.version = 1"""
_HANDLED = "SELECT count(*) FROM inbox"


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        yield connection


def _count(connection: sqlite3.Connection, question: str) -> int:
    number: int = connection.execute(question).fetchone()[0]
    return number


def deliveries_left(path: Path) -> int:
    """Events and tasks that are not done."""
    with _reading(path) as connection:
        return _count(connection, _LEFT)


def seconds_to_drain(path: Path) -> float | None:
    """Wait until nothing is left to deliver; None when something still is after a minute."""
    began = time.perf_counter()
    with _reading(path) as connection:
        while _count(connection, _LEFT):
            if time.perf_counter() - began > DRAIN_SECONDS:
                return None
            time.sleep(POLL_SECONDS)
    return time.perf_counter() - began


def faults_by_hand(path: Path, answered: Collection[str]) -> list[str]:
    """What is wrong in the file of a hand-written application."""
    with _reading(path) as connection:
        return list(_answered_and_not_there(connection, answered))


def faults_paused(path: Path, answered: Collection[str]) -> list[str]:
    """What is wrong where orders are only taken: each is placed, with one event that tells of it."""
    with _reading(path) as connection:
        connection.execute("BEGIN")
        faults = list(_answered_and_not_there(connection, answered))
        orders, right = _count(connection, _ORDERS), _count(connection, _PLACED_ONCE)
        if orders != right:
            faults.append(f"{orders - right} of {orders} orders are not placed with exactly one recorded event")
        return faults


def faults_drained(path: Path, answered: Collection[str]) -> list[str]:
    """What is wrong where everything is done: each order is confirmed once, and nothing is left, dead or alive."""
    with _reading(path) as connection:
        connection.execute("BEGIN")
        faults = list(_answered_and_not_there(connection, answered))
        orders, right = _count(connection, _ORDERS), _count(connection, _CONFIRMED_ONCE)
        if orders != right:
            faults.append(f"{orders - right} of {orders} orders are not confirmed exactly once")
        if (handled := _count(connection, _HANDLED)) != orders:
            faults.append(f"{handled} events were handled for {orders} orders")
        rows = connection.execute("SELECT lane, state, count(*) FROM deliveries GROUP BY lane, state")
        faults += [f"{number} deliveries are left: lane {lane}, state {state}" for lane, state, number in rows]
        return faults


def _answered_and_not_there(connection: sqlite3.Connection, answered: Collection[str]) -> Iterator[str]:
    there = {id_ for (id_,) in connection.execute("SELECT id FROM orders")}
    told = set(answered)
    if len(told) != len(answered):
        yield f"{len(answered) - len(told)} answers had the id of another"
    if missing := told - there:
        yield f"{len(missing)} of {len(told)} orders that were answered 201 are not there"
    if len(there) < len(answered):
        yield f"{len(answered)} were answered 201 and {len(there)} are there"
