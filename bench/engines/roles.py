"""Cell f: what each process takes before it has done anything: seconds until it is ready, and memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from bench.engines import recorded, topics
from bench.engines.place import Place, new_prefix, on_kafka
from bench.engines.turns import Cell, Side, Turn
from tools.services import addresses


@contextmanager
def roles(place: Place) -> Iterator[Cell]:
    """On Kafka and, for the worker, on Redis."""
    with place.migrated() as template:
        recorded.fill(template, owners=recorded.users())
        began = partial(_begun, place, template)
        sides = [
            Side(name, f"crossdock {name}", partial(began, name), ours=True) for name in ("relay", "consumer", "worker")
        ]
        yield Cell(
            "f",
            "started and idle: seconds to ready, resident memory of the process and its children",
            [
                Side("api", "crossdock api", partial(_api, place, template), ours=True),
                *sides,
                Side("by_hand", "FastAPI and asyncpg by hand", partial(_by_hand, place)),
            ],
        )


def _begun(place: Place, template: str, name: str) -> Turn:
    return _with_database(
        place,
        template,
        lambda environ: _measured_worker(place, name, environ),
    )


def _measured_worker(place: Place, name: str, environ: dict[str, str]) -> Turn:
    with place.role(name, environ) as worker:
        return Turn({"ready_s": worker.seconds_to_ready, "memory_mib": worker.resident_mib})


def _api(place: Place, template: str) -> Turn:
    def measured(environ: dict[str, str]) -> Turn:
        with place.api(environ) as child:
            return Turn({"ready_s": child.seconds_to_first_answer, "memory_mib": child.resident_mib})

    return _with_database(place, template, measured)


def _by_hand(place: Place) -> Turn:
    with place.databases.fresh() as database, place.peer_api("orders_asyncpg", database=database, tuned=True) as child:
        return Turn({"ready_s": child.seconds_to_first_answer, "memory_mib": child.resident_mib})


def _with_database(place: Place, template: str, measured: Callable[[dict[str, str]], Turn]) -> Turn:
    prefix = new_prefix()
    with place.databases.fresh(template) as database:
        try:
            return measured(
                on_kafka(
                    database,
                    prefix,
                    CROSSDOCK_TASK_QUEUE="celery",
                    CELERY_BROKER_URL=addresses.REDIS,
                    CELERY_RESULT_BACKEND=addresses.REDIS,
                )
            )
        finally:
            topics.forget(place.kafka, prefix)
