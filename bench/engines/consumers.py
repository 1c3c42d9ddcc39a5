"""Cell c: handling events that wait in Kafka, each with an effect in PostgreSQL."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.children import Worker
from bench.engines import databases, recorded, topics
from bench.engines.place import Place, new_prefix, on_kafka
from bench.engines.relays import ALL_MARKED
from bench.engines.turns import Cell, Side, Turn, ratio

EVENTS = 20_000
SECONDS_MOST = 40.0
SLOW_SECONDS = 3.0  # of a peer that would take minutes: its rate is known by then

CONFIRMED = "SELECT count(*) FROM orders WHERE status = 'confirmed'"
CONFIRMED_ONCE = "SELECT count(*) FROM orders WHERE status = 'confirmed' AND version = 2"


@contextmanager
def consumers(place: Place) -> Iterator[Cell]:
    """The template has placed orders and their events; each side confirms the orders in a copy of its own."""
    with place.migrated() as template:
        owners = recorded.users()
        placed = recorded.orders(owners, place.count(EVENTS))
        events = [recorded.placed_event(order) for order in placed]
        recorded.fill(template, owners=owners, placed=placed, deliveries=events)
        file = place.folder / "placed.jsonl"
        recorded.write_messages(file, events)
        peer = partial(_peer, place, template, file)
        yield Cell(
            "c",
            f"consumer: {len(events):,} events waiting in Kafka, an effect each",
            [
                Side(
                    "consumer",
                    "crossdock consumer: inbox, order, event, task",
                    partial(_ours, place, template),
                    ours=True,
                ),
                Side("bulk", "a bulk loop by hand: inbox, order", partial(peer, "consumer_bulk")),
                Side(
                    "default",
                    "FastStream as it comes: at most once",
                    partial(peer, "consumer_faststream", after=False, slow=True),
                ),
                Side(
                    "after",
                    "FastStream, acknowledged after the effect",
                    partial(peer, "consumer_faststream", after=True, slow=True),
                ),
            ],
            [ratio("consumer", "after", 50), ratio("consumer", "default", 5), ratio("consumer", "bulk", 0.4)],
        )


def _ours(place: Place, template: str) -> Turn:
    prefix = new_prefix()
    with place.databases.fresh(template) as database, ExitStack() as stack:
        stack.callback(topics.forget, place.kafka, prefix)
        # Tasks are for workers, so that the consumer does nothing else.
        environ = on_kafka(database, prefix, CROSSDOCK_TASK_QUEUE="celery")
        with place.role("relay", environ):
            databases.watched(database, ALL_MARKED, until=1, seconds=SECONDS_MOST)
        databases.execute(database, "ANALYZE")
        turn = _consumed(place, place.role("consumer", environ), database, SECONDS_MOST)
        faults = []
        for what, question in (
            ("orders are confirmed once", CONFIRMED_ONCE),
            ("events were handled", "SELECT count(*) FROM inbox"),
            ("events tell of it", "SELECT count(*) FROM deliveries WHERE name = 'crossdock.order.confirmed.v1'"),
            ("tasks are recorded", "SELECT count(*) FROM deliveries WHERE lane = 'task'"),
        ):
            if (number := databases.value(database, question)) != place.count(EVENTS):
                faults.append(f"{number} {what}, not {place.count(EVENTS)}")
        return Turn(turn.values, faults)


def _peer(place: Place, template: str, file: Path, name: str, *, slow: bool = False, **options: bool) -> Turn:
    with (
        topics.made(place.kafka, new_prefix() + recorded.TOPIC) as topic,
        place.databases.fresh(template) as database,
    ):
        topics.publish_file(place.kafka, topic, file)
        process = place.peer_worker(name, database=database, kafka=place.kafka, topic=topic, **options)
        turn = _consumed(place, process, database, SLOW_SECONDS if slow else SECONDS_MOST)
        twice = databases.value(database, "SELECT count(*) FROM orders WHERE version > 2")
        return Turn(turn.values, [f"{twice} orders are confirmed twice"] if twice else [])


def _consumed(place: Place, process: AbstractContextManager[Worker], database: str, seconds: float) -> Turn:
    """The rate between the first effects that were seen and the last, and how long the first took."""
    with process:
        began = time.perf_counter()
        seen = databases.watched(database, CONFIRMED, until=place.count(EVENTS), seconds=seconds)
    first = next((at for at, number in seen if number), seen[-1][0])
    return Turn({"rate": databases.pace(seen), "done": seen[-1][1], "first_s": first - began})
