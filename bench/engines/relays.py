"""Cell b: carrying what was recorded to the brokers, beside loops that have nothing to remember."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.engines import databases, recorded, topics
from bench.engines.place import Place, new_prefix, on_kafka, ours
from bench.engines.turns import Cell, Side, Turn, ratio

EVENTS = 50_000
OUTBOX_EVENTS = 10_000  # of faststream-outbox, which takes seconds for so many
SINGLE_EVENTS = 3_000  # of pika one by one, likewise
SECONDS_MOST = 60.0

MARKED = "SELECT count(*) FROM deliveries WHERE state = 'sent'"
# What is asked while it works, since counting would cost the server more than the relay does.
ALL_MARKED = (
    "SELECT CASE WHEN EXISTS (SELECT FROM deliveries WHERE lane = 'event' AND state = 'ready') THEN 0 ELSE 1 END"
)


@contextmanager
def relays(place: Place) -> Iterator[Cell]:
    """The template has the events; peers find the same bytes in a file."""
    with place.migrated() as template:
        owners = recorded.users()
        events = [recorded.placed_event(order) for order in recorded.orders(owners, place.count(EVENTS))]
        recorded.fill(template, owners=owners, deliveries=events)
        file = place.folder / "events.jsonl"
        recorded.write_messages(file, events)
        ids = [event.id for event in events]
        yield Cell(
            "b",
            f"relay: {len(ids):,} recorded events",
            [
                Side("kafka", "crossdock relay to Kafka", partial(_to_kafka, place, template, ids), ours=True),
                Side("aiokafka", "a bare aiokafka loop, no database", partial(_aiokafka, place, file, ids)),
                Side(
                    "outbox",
                    f"faststream-outbox to Kafka ({OUTBOX_EVENTS:,})",
                    partial(_faststream_outbox, place, file, ids[: place.count(OUTBOX_EVENTS)]),
                ),
                Side("rabbitmq", "crossdock relay to RabbitMQ", partial(_to_rabbitmq, place, template, ids), ours=True),
                Side("pika", "pika pipelined, no database", partial(_pika, place, file)),
                Side("single", f"pika, confirming one by one ({SINGLE_EVENTS:,})", partial(_pika_single, place, file)),
            ],
            [
                ratio("kafka", "aiokafka", 0.3),
                ratio("kafka", "outbox", 5),
                ratio("rabbitmq", "pika", 0.3),
                ratio("rabbitmq", "single", 5),
            ],
        )


def _to_kafka(place: Place, template: str, ids: list[str]) -> Turn:
    prefix = new_prefix()
    with place.databases.fresh(template) as database, ExitStack() as stack:
        stack.callback(topics.forget, place.kafka, prefix)
        turn = _relayed(place, database, on_kafka(database, prefix))
        sent = topics.ids_in(place.kafka, prefix + recorded.TOPIC)
        return _judged(turn, database, ids, sent)


def _to_rabbitmq(place: Place, template: str, ids: list[str]) -> Turn:
    with place.databases.fresh(template) as database, topics.virtual_host() as url:
        turn = _relayed(place, database, ours(database, CROSSDOCK_EVENT_BROKER="rabbitmq", RABBITMQ_URL=url))
        return _judged(turn, database, ids, topics.ids_in_queues(url))


def _relayed(place: Place, database: str, environ: dict[str, str]) -> Turn:
    """From when the relay says that it works to when the last row is marked."""
    with place.role("relay", environ) as relay:
        began = time.perf_counter()
        databases.watched(database, ALL_MARKED, until=1, seconds=SECONDS_MOST)
        seconds = time.perf_counter() - began
        marked = databases.value(database, MARKED)
    wanted = place.count(EVENTS)
    values = {"rate": marked / seconds, "seconds": seconds, "first_s": relay.seconds_to_ready}
    return Turn(values, [] if marked == wanted else [f"only {marked} of {wanted} are marked after {seconds:.0f} s"])


def _judged(turn: Turn, database: str, ids: list[str], sent: list[str]) -> Turn:
    faults = topics.missing(ids, sent)
    left = databases.value(database, "SELECT count(*) FROM deliveries WHERE lane = 'event'")
    if left != len(ids):
        faults.append(f"{left} events are in the outbox, and {len(ids)} wait to be handled")
    again = len(sent) - len(set(sent))
    return Turn(turn.values, [*turn.faults, *faults], [f"{again} were sent twice"] if again else [])


def _aiokafka(place: Place, file: Path, ids: list[str]) -> Turn:
    with topics.made(place.kafka, new_prefix() + recorded.TOPIC) as topic:
        values = place.peer_run("relay_aiokafka", kafka=place.kafka, topic=topic, messages=file)
        return Turn(values, topics.missing(ids, topics.ids_in(place.kafka, topic)))


def _faststream_outbox(place: Place, file: Path, ids: list[str]) -> Turn:
    with topics.made(place.kafka, new_prefix() + recorded.TOPIC) as topic, place.databases.fresh() as database:
        values = place.peer_run(
            "relay_faststream_outbox",
            database=database,
            kafka=place.kafka,
            topic=topic,
            messages=file,
            most=len(ids),
        )
        return Turn(values, topics.missing(ids, topics.ids_in(place.kafka, topic)))


def _pika(place: Place, file: Path) -> Turn:
    with topics.virtual_host() as url:
        return Turn(place.peer_run("relay_pika_pipelined", rabbitmq=url, messages=file))


def _pika_single(place: Place, file: Path) -> Turn:
    with topics.virtual_host() as url:
        return Turn(place.peer_run("relay_pika_single", rabbitmq=url, messages=file, most=place.count(SINGLE_EVENTS)))
