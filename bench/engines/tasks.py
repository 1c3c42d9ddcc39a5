"""Cell d: work that is asked for in a request, and performed by two worker processes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from bench.children import Child
from bench.engines import databases, lag, recorded
from bench.engines.faults import answered_faults
from bench.engines.orders import loaded
from bench.engines.place import Place, new_prefix, on_kafka
from bench.engines.turns import Cell, Side, Turn, at_most, ratio
from bench.prepared import post
from tools.services.redis import Redis

USERS = 24_000  # more than any side registers in one turn: no address twice
TASKS = 4_000
PROCESSES = "2"
SECONDS_MOST = 60.0
FROZEN_SECONDS = 2.0

REGISTERED_WHOLE = """
    SELECT count(*) FROM users
    JOIN deliveries AS event ON event.subject = users.id AND event.lane = 'event'
    JOIN deliveries AS task ON task.subject = users.id AND task.lane = 'task'"""
TASKS_DONE = "SELECT {} - count(*) FROM deliveries WHERE lane = 'task'"


@contextmanager
def tasks(place: Place) -> Iterator[Cell]:
    """With a Redis of its own, which is frozen in some turns."""
    with place.migrated() as template, place.migrated() as waiting, Redis.private() as redis:
        requests = [post("/register-user/", {"email": f"u{n}@example.com", "name": "User"}) for n in range(USERS)]
        owners = recorded.users()
        recorded.fill(waiting, owners=owners, deliveries=recorded.welcome_tasks(owners, place.count(TASKS)))
        recorded_ = partial(_recorded, place, template, redis, requests)
        delayed = partial(_delayed, place, redis, requests)
        yield Cell(
            "d",
            "a task asked for by POST /register-user/, 32 connections; a task without work, two worker processes",
            [
                Side("recorded", "crossdock api: user, event and task", recorded_, ours=True),
                Side("delay", ".delay() in the handler: task alone", partial(delayed, stores=False)),
                Side("insert", "INSERT of the user, then .delay()", partial(delayed, stores=True)),
                Side("frozen", "crossdock api, Redis frozen", partial(recorded_, frozen=True), ours=True),
                Side("stuck", ".delay(), Redis frozen", partial(delayed, stores=False, frozen=True), once=True),
                Side(
                    "worker",
                    "crossdock relay and worker: a task without work",
                    partial(_performed, place, waiting, redis),
                    ours=True,
                ),
                Side("celery", "Celery alone: a task without work", partial(_celery, place, redis)),
            ],
            [
                ratio("recorded", "delay", 2),
                ratio("frozen", "recorded", 0.9),
                at_most("recorded", "lag_p99_ms", 5),
                at_most("frozen", "lag_p99_ms", 5),
                ratio("worker", "celery", 0.8),
            ],
        )


def _recorded(place: Place, template: str, redis: Redis, requests: list[bytes], *, frozen: bool = False) -> Turn:
    late = place.new_folder() / "late"
    with place.databases.fresh(template) as database:
        environ = _celery_of(redis, on_kafka(database, new_prefix()))
        with place.api_watched(environ, late) as child:
            turn, ids = _loaded(place, child, requests, redis, frozen=frozen)
        faults = answered_faults(ids, databases.column(database, "SELECT id FROM users"))
        users, whole = (databases.value(database, ask) for ask in ("SELECT count(*) FROM users", REGISTERED_WHOLE))
        if users != whole:
            faults.append(f"{users - whole} of {users} users are there without exactly one event and one task")
        return Turn({**turn.values, "lag_p99_ms": lag.p99_ms(late, place.seconds)}, faults, turn.remarks)


def _delayed(place: Place, redis: Redis, requests: list[bytes], *, stores: bool, frozen: bool = False) -> Turn:
    late = place.new_folder() / "late"
    with place.databases.fresh() as database:
        options: dict[str, Any] = {"redis": redis.address, "late": late, "database": database if stores else ""}
        with place.peer_api("tasks_delay", **options) as child:
            turn, ids = _loaded(place, child, requests, redis, frozen=frozen)
        faults = answered_faults(ids, databases.column(database, "SELECT id::text FROM users")) if stores else []
        # A loop that is held for good measures nothing.
        values = turn.values if frozen else {**turn.values, "lag_p99_ms": lag.p99_ms(late, place.seconds)}
        return Turn(values, faults, turn.remarks)


def _loaded(
    place: Place, child: Child, requests: list[bytes], redis: Redis, *, frozen: bool
) -> tuple[Turn, Sequence[str]]:
    if not frozen:
        turn, answers = loaded(place, child, requests)
        return turn, answers.ids
    redis.freeze()
    try:
        turn, answers = loaded(place, child, requests, last_answers=FROZEN_SECONDS)
    finally:
        redis.thaw()
    return turn, answers.ids


def _performed(place: Place, waiting: str, redis: Redis) -> Turn:
    """From when the relay says that it works to when no task is left."""
    with place.databases.fresh(waiting) as database, ExitStack() as stack:
        _flush(redis)
        environ = _celery_of(redis, on_kafka(database, new_prefix()))
        stack.enter_context(place.worker_without_work(environ, PROCESSES))
        stack.enter_context(place.role("relay", environ))
        wanted = place.count(TASKS)
        began = time.perf_counter()
        seen = databases.watched(database, TASKS_DONE.format(wanted), until=wanted, seconds=SECONDS_MOST)
    ended, done = seen[-1]
    values = {"rate": done / (ended - began), "done": float(done)}
    return Turn(values, [] if done == wanted else [f"only {done} of {wanted} tasks are done"])


def _celery(place: Place, redis: Redis) -> Turn:
    """From the first ``.delay()`` to the last task that is done."""
    _flush(redis)
    with place.peer_celery(redis.address, PROCESSES):
        values = place.peer_run("tasks_flood", redis=redis.address, count=place.count(TASKS))
    return Turn(values)


def _flush(redis: Redis) -> None:
    import redis as client  # noqa: PLC0415 - the name is the server's here

    with client.Redis.from_url(redis.address) as connection:
        connection.flushall()


def _celery_of(redis: Redis, environ: dict[str, str]) -> dict[str, str]:
    return {
        **environ,
        "CROSSDOCK_TASK_QUEUE": "celery",
        "CELERY_BROKER_URL": redis.address,
        "CELERY_RESULT_BACKEND": redis.address,
    }
