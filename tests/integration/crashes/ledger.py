"""The books, read by nobody of the product: plain SQL on the file and the lines of the log."""

import sqlite3
import time
from collections import Counter, defaultdict
from pathlib import Path

from tests.integration.crashes.service import Promised, Service

DRAIN_SECONDS = 30  # the bound after which work that waited must have moved again


def pending(path: Path) -> dict[str, int]:
    """What is not done yet, by lane and state."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        rows = connection.execute("SELECT lane || ' ' || state, count(*) FROM deliveries GROUP BY 1").fetchall()
    finally:
        connection.close()
    return dict(rows)


def drain(service: Service, path: Path) -> None:
    """Wait until nothing is pending; fails when something still is after the bound."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while left := pending(path):
        assert service.is_alive, "the service died"
        assert time.monotonic() < deadline, f"still pending after {DRAIN_SECONDS} s: {left}"
        time.sleep(0.1)


def check(service: Service, path: Path, promised: Promised) -> str:
    """Fail on any loss, double effect, disorder or ghost; the counts otherwise."""
    connection = sqlite3.connect(path)
    orders = dict(connection.execute("SELECT id, status || ' ' || version FROM orders").fetchall())
    users = {id_ for (id_,) in connection.execute("SELECT id FROM users")}
    handled = [subject for (subject,) in connection.execute("SELECT subject FROM lanes")]
    received = connection.execute("SELECT count(*) FROM inbox").fetchone()[0]
    connection.close()

    assert promised.orders <= orders.keys(), "an order that was answered 201 is lost"
    assert promised.users <= users, "a user that was answered 201 is lost"
    assert set(orders.values()) <= {"confirmed 2"}, f"not confirmed once: {Counter(orders.values())}"
    assert sorted(handled) == sorted(orders), "an order was not handled, or an event has no order"
    assert received == len(orders), "an order has not exactly one created event"

    ids_of = defaultdict(set)
    for message_id, subject in service.mails:
        ids_of[subject].add(message_id)
    confirmations = {subject: ids for subject, ids in ids_of.items() if subject != "Welcome"}
    assert confirmations.keys() == {f"Your order {id_} is confirmed" for id_ in orders}, "a confirmation is missing"
    assert all(len(ids) == 1 for ids in confirmations.values()), "an order was confirmed by two different mails"
    assert len(ids_of["Welcome"]) == len(users), "a user was greeted by no mail, or by two different ones"
    duplicates = len(service.mails) - sum(map(len, ids_of.values()))
    return (
        f"{len(promised.orders)} orders promised, {len(orders)} kept, {promised.unknown} requests without an answer, "
        f"{duplicates} mails sent again with the same Message-ID"
    )
