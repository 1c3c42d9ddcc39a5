"""Cell g: placing orders while Kafka is stopped, beside the same while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bench import prepared
from bench.engines import recorded
from bench.engines.faults import drained_faults, recorded_faults, seconds_to_drain
from bench.engines.orders import loaded, with_faults
from bench.engines.place import Place, new_prefix, on_kafka
from bench.engines.turns import Cell, Side, Turn, ratio
from tools.services.kafka import Kafka


@contextmanager
def stopped(place: Place) -> Iterator[Cell]:
    """With a Kafka of its own, which is stopped and started again; relay and consumer run all the time."""
    with place.migrated() as template, Kafka.private() as kafka:
        owners = recorded.users()
        recorded.fill(template, owners=owners)
        requests = prepared.order_requests([str(owner.id) for owner in owners])
        yield Cell(
            "g",
            "POST /orders/ with api, relay and consumer, Kafka running or stopped",
            [
                Side("running", "Kafka runs", partial(_running, place, template, requests, kafka), ours=True),
                Side("stopped", "Kafka is stopped", partial(_stopped, place, template, requests, kafka), ours=True),
            ],
            [ratio("stopped", "running", 0.9)],
        )


def _running(place: Place, template: str, requests: list[bytes], kafka: Kafka) -> Turn:
    kafka.start()
    with place.databases.fresh(template) as database:
        environ = on_kafka(database, new_prefix(), kafka.address)
        with place.role("relay", environ), place.role("consumer", environ), place.api(environ) as child:
            turn, answers = loaded(place, child, requests)
            drain = seconds_to_drain(database)
        return with_faults(turn, drained_faults(database, answers.ids), drain_s=drain)


def _stopped(place: Place, template: str, requests: list[bytes], kafka: Kafka) -> Turn:
    """Its backlog is carried when Kafka is back."""
    kafka.start()
    with place.databases.fresh(template) as database:
        environ = on_kafka(database, new_prefix(), kafka.address)
        with place.role("relay", environ), place.role("consumer", environ), place.api(environ) as child:
            kafka.stop()
            turn, answers = loaded(place, child, requests)
            waiting = recorded_faults(database, answers.ids)
            kafka.start()
            drain = seconds_to_drain(database)
        faults = [*waiting, *drained_faults(database, answers.ids)]
        return with_faults(turn, faults, drain_s=drain)
