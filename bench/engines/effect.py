"""Cell e: from an order that is sent to its effect, at a constant rate; the effect is there when it is committed.

The server of this cell keeps the time of each commit, and its log is fit for change data capture.
"""

import statistics
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, ClassVar

from bench import prepared
from bench.children import Child
from bench.engines import databases, open_loop, recorded, topics
from bench.engines.databases import Databases
from bench.engines.debezium import capturing
from bench.engines.place import Place, new_prefix, on_kafka
from bench.engines.turns import Cell, Side, Turn, at_most
from tools.services.postgresql import PostgreSQL

RATE = 100.0
LEAST_SECONDS = 5.0
WARM_SECONDS = 1.0
DRAIN_SECONDS = 10.0

COMMITTED = (
    "SELECT id::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM orders WHERE status = 'confirmed'"
)


class TimedPostgreSQL(PostgreSQL):
    """The same as the standing one, but for what this cell needs."""

    settings: ClassVar = {**PostgreSQL.settings, "track_commit_timestamp": "on", "wal_level": "logical"}


@contextmanager
def effect(place: Place) -> Iterator[Cell]:
    """On a PostgreSQL of its own."""
    with TimedPostgreSQL.private() as server:
        there = place.on(Databases(server.address))
        with there.migrated() as template:
            owners = recorded.users()
            recorded.fill(template, owners=owners)
            requests = prepared.order_requests([str(owner.id) for owner in owners])
            sides = [
                Side(
                    "roles", "crossdock api, relay and consumer", partial(_ours, there, template, requests), ours=True
                ),
                Side(
                    "direct",
                    "published in the handler, no outbox; a consumer by hand",
                    partial(_direct, there, requests),
                ),
            ]
            if place.with_debezium:
                captured = partial(_captured, there, template, requests, server)
                sides.append(Side("capture", "our outbox table by Debezium; the same consumer", captured, once=True))
            yield Cell(
                "e",
                f"order to effect, {RATE:g} a second at their appointed times",
                sides,
                [at_most("roles", "p50_ms", 10), at_most("roles", "p99_ms", 40)],
            )


def _ours(place: Place, template: str, requests: list[bytes]) -> Turn:
    prefix = new_prefix()
    with place.databases.fresh(template) as database, ExitStack() as stack:
        stack.callback(topics.forget, place.kafka, prefix)
        environ = on_kafka(database, prefix)
        with place.role("relay", environ), place.role("consumer", environ), place.api(environ) as child:
            return _sent(place, child, database, requests)


def _direct(place: Place, requests: list[bytes]) -> Turn:
    with topics.made(place.kafka, new_prefix() + recorded.TOPIC) as topic, place.databases.fresh() as database:
        options: dict[str, Any] = {"database": database, "kafka": place.kafka, "topic": topic}
        with place.peer_api("direct", **options) as child, place.peer_worker("direct_consumer", **options):
            return _sent(place, child, database, requests)


def _captured(place: Place, template: str, requests: list[bytes], server: PostgreSQL) -> Turn:
    """Our API records as always; Debezium reads the log of the database instead of our relay."""
    prefix = new_prefix()
    with place.databases.fresh(template) as database, ExitStack() as stack:
        stack.callback(topics.forget, place.kafka, prefix)
        with topics.made(place.kafka, prefix + recorded.TOPIC) as topic, capturing(place, server, database, prefix):
            options: dict[str, Any] = {"database": database, "kafka": place.kafka, "topic": topic}
            child = stack.enter_context(place.api(on_kafka(database, prefix)))
            stack.enter_context(place.peer_worker("direct_consumer", **options, text_ids=True))
            return _sent(place, child, database, requests)


def _sent(place: Place, child: Child, database: str, requests: list[bytes]) -> Turn:
    texts = [request.decode("latin-1") for request in requests]
    open_loop.send(open_loop.Plan(child.port, texts, RATE, WARM_SECONDS))
    sent = open_loop.send(open_loop.Plan(child.port, texts, RATE, max(place.seconds, LEAST_SECONDS)))
    done = _committed(database, sent.appointed.keys())
    latencies = sorted((done[id_] - at) * 1000 for id_, at in sent.appointed.items() if id_ in done)
    faults = []
    if sent.wrong:
        faults.append(f"{sent.wrong} orders were not answered 201")
    if len(latencies) < len(sent.appointed):
        faults.append(f"{len(sent.appointed) - len(latencies)} of {len(sent.appointed)} orders had no effect")
    values = {"orders": float(len(latencies))}
    if latencies:
        values |= {
            "p50_ms": statistics.median(latencies),
            "p99_ms": latencies[int(len(latencies) * 0.99)],
            "worst_ms": latencies[-1],
            "answer_p50_ms": statistics.median(sent.answered_ms),
        }
    return Turn(values, faults)


def _committed(database: str, ids: Set[str]) -> dict[str, float]:
    """When the effect of each order was committed, once those of ``ids`` are or time is up."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while True:
        rows: Sequence[Any] = databases.connected(database, lambda connection: connection.fetch(COMMITTED))
        done = {row[0]: row[1] for row in rows}
        if ids <= done.keys() or time.monotonic() > deadline:
            return done
        time.sleep(0.1)
