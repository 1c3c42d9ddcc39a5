"""Cell a: placing an order on PostgreSQL, beside hand-written handlers that store the order alone."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from bench import prepared
from bench.children import Child
from bench.engines import databases, recorded, topics
from bench.engines.faults import answered_faults, drained_faults, recorded_faults, seconds_to_drain
from bench.engines.place import Place, new_prefix, on_kafka
from bench.engines.turns import Cell, Side, Turn, at_most, ratio
from bench.load import Answers

IDS = "SELECT id::text FROM orders"


@contextmanager
def orders(place: Place) -> Iterator[Cell]:
    """The template has our schema and a few users; each turn works on a copy, each peer on an empty database."""
    with place.migrated() as template:
        owners = recorded.users()
        recorded.fill(template, owners=owners)
        requests = prepared.order_requests([str(owner.id) for owner in owners])
        yield Cell(
            "a",
            "POST /orders/ on PostgreSQL, 32 connections",
            [
                Side(
                    "api", "crossdock api: order and event", partial(_api_alone, place, template, requests), ours=True
                ),
                Side(
                    "roles",
                    "the same, relay and consumer running",
                    partial(_roles, place, template, requests),
                    ours=True,
                ),
                Side(
                    "asyncpg",
                    "FastAPI, asyncpg, one INSERT: order alone",
                    _peer(place, "orders_asyncpg", requests, tuned=True),
                ),
                Side(
                    "pool", "the same with the pool as it comes", _peer(place, "orders_asyncpg", requests, tuned=False)
                ),
                Side("core", "SQLAlchemy Core, a transaction each", _peer(place, "orders_core", requests)),
                Side("orm", "SQLAlchemy ORM, a session each", _peer(place, "orders_orm", requests)),
                Side("tutorial", "INSERT, then kafka-python send and flush", partial(_tutorial, place, requests)),
            ],
            [
                ratio("api", "asyncpg", 1.0, aim=1.2),
                at_most("api", "p99_ms", 30),
                ratio("api", "core", 3),
                ratio("api", "orm", 3),
                ratio("api", "tutorial", 3),
            ],
        )


def _api_alone(place: Place, template: str, requests: list[bytes]) -> Turn:
    with place.databases.fresh(template) as database:
        with place.api(on_kafka(database, new_prefix())) as child:
            turn, answers = loaded(place, child, requests)
        return with_faults(turn, recorded_faults(database, answers.ids))


def _roles(place: Place, template: str, requests: list[bytes]) -> Turn:
    prefix = new_prefix()
    with place.databases.fresh(template) as database, ExitStack() as stack:
        stack.callback(topics.forget, place.kafka, prefix)
        environ = on_kafka(database, prefix)
        with place.role("relay", environ), place.role("consumer", environ), place.api(environ) as child:
            turn, answers = loaded(place, child, requests)
            drain = seconds_to_drain(database)
        faults = drained_faults(database, answers.ids)
        return with_faults(turn, faults, drain_s=drain)


def _peer(place: Place, name: str, requests: list[bytes], **options: Any) -> Callable[[], Turn]:
    def run() -> Turn:
        with place.databases.fresh() as database:
            with place.peer_api(name, database=database, **options) as child:
                turn, answers = loaded(place, child, requests)
            return with_faults(turn, answered_faults(answers.ids, databases.column(database, IDS)))

    return run


def _tutorial(place: Place, requests: list[bytes]) -> Turn:
    with topics.made(place.kafka, new_prefix() + recorded.TOPIC) as topic:
        return _peer(place, "orders_kafka_python", requests, kafka=place.kafka, topic=topic)()


def loaded(
    place: Place, child: Child, requests: list[bytes], *, seconds: float | None = None, last_answers: float = 30.0
) -> tuple[Turn, Answers]:
    """What a server answers under load, and what each answer costs it."""
    before = child.cpu_seconds()
    answers = place.load(child, requests, seconds=seconds, last_answers=last_answers)
    used = child.cpu_seconds() - before
    values = {
        "rate": answers.rate,
        "p50_ms": answers.p50_ms,
        "p99_ms": answers.p99_ms,
        "cpu_us": used / answers.total * 1e6 if answers.total else 0,
        "generator": answers.generator_cpu,
    }
    wrong = [f"{count}× {kind}" for kind, count in answers.wrong.items()]
    return Turn(values, remarks=[f"other answers than 201: {', '.join(wrong)}"] if wrong else []), answers


def with_faults(turn: Turn, faults: list[str], **more: float) -> Turn:
    """The same turn with what its ledger says."""
    return Turn({**turn.values, **more}, [*turn.faults, *faults], turn.remarks)
