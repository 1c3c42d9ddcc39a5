"""`crossdock worker` beside `crossdock up`, on a SQLite file and the standing brokers.

Each task is done or on the desk, whatever becomes of the processes: our rows know it, not Celery.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import redis

from prove.process import Process
from tests.integration.crashes.service import Service
from tests.integration.task_queue.recording_worker import forget_queue
from tests.services import private
from tools.services.postgresql import PostgreSQL

PATIENCE_SECONDS = 90.0


class Pair:
    """A service that hands its tasks to Celery, and workers that perform them."""

    def __init__(self, folder: Path, broker_url: str, stack: ExitStack, **more: str) -> None:
        self._folder = folder
        self._stack = stack
        self.settings = {
            "DATABASE_URL": "sqlite:///crossdock.db",
            "CROSSDOCK_TASK_QUEUE": "celery",
            "CELERY_BROKER_URL": broker_url,
            "CROSSDOCK_TOPIC_PREFIX": f"test-{secrets.token_hex(4)}.",
            "CROSSDOCK_RETRY_DELAY": "0.1",
            "CROSSDOCK_MAX_ATTEMPTS": "2",
            "CROSSDOCK_LOG_FORMAT": "json",
            "CROSSDOCK_WEATHER": "sample",
            **more,
        }
        stack.callback(forget_queue, broker_url, self.queue)
        self.service = stack.enter_context(Service(folder, **self.settings))

    @property
    def queue(self) -> str:
        return f"{self.settings['CROSSDOCK_TOPIC_PREFIX']}crossdock.tasks"

    def worker(self, *options: str, **more: str) -> Process:
        """A running worker."""
        process = Process(self._folder, "worker", *options, settings={**self.settings, **more})
        return self._stack.enter_context(process)

    def register(self, number: int) -> set[str]:
        """So many users; their addresses."""
        addresses = {f"{secrets.token_hex(8)}@example.com" for _ in range(number)}
        with httpx.Client(base_url=self.service.url, timeout=20) as client:
            for address in addresses:
                answer = client.post("/register-user/", json={"email": address})
                assert answer.status_code == 201, answer.text
        return addresses

    def desk(self) -> list[dict[str, object]]:
        """What is dead, as the command line tells it."""
        done = subprocess.run(
            [sys.executable, "-m", "entrypoints.cli", "dead-letters", "list", "--json"],
            cwd=self._folder,
            env={**os.environ, **self.settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        found = json.loads(done.stdout)
        assert isinstance(found, list)
        return found


@pytest.fixture(params=["redis_url", "rabbitmq_url"], ids=["redis", "rabbitmq"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, request.getfixturevalue(request.param), stack)


@pytest.fixture
def redis_pair(redis_url: str, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, redis_url, stack)


def mails(worker: Process) -> Counter[tuple[str, str]]:
    """How often each mail was sent: its recipient and its id."""
    lines = (json.loads(line) for line in worker.log.splitlines() if '"message": "mail"' in line and line[-1] == "}")
    return Counter((str(line["email.to.address"]), str(line["email.message_id"])) for line in lines)


def recipients(worker: Process) -> set[str]:
    return {recipient for recipient, _ in mails(worker)}


def until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def environment(pair: Pair) -> Mapping[str, str]:
    return {**os.environ, **pair.settings, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}


# --- the way of a task ------------------------------------------------------------------------------------------------


def test_what_is_recorded_is_performed_by_the_worker_once(pair: Pair) -> None:
    worker = pair.worker("--concurrency", "2")

    addresses = pair.register(20)

    until(lambda: recipients(worker) == addresses, worker.tail)
    assert set(mails(worker).values()) == {1}
    assert pair.service.mails == []
    assert worker.end() == 0


def test_what_was_recorded_without_a_worker_waits_for_one(pair: Pair) -> None:
    addresses = pair.register(5)

    worker = pair.worker("--concurrency", "1")

    until(lambda: recipients(worker) == addresses, worker.tail)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_celery_itself_may_run_it_with_any_pool(redis_pair: Pair, tmp_path: Path, pool: str) -> None:
    log = tmp_path / "celery.log"
    with log.open("wb") as out:
        celery = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "entrypoints.celery_worker", "worker"),
                *("--pool", pool, "--concurrency", "2"),
            ],
            cwd=tmp_path,
            env={**environment(redis_pair), "CROSSDOCK_PROBE_PORT": "0"},
            stdout=out,
            stderr=out,
        )
    try:
        addresses = redis_pair.register(5)
        until(lambda: all(address in log.read_text() for address in addresses), log.read_text)
        (told,) = re.findall(r"Probes: (\S+)/readyz", log.read_text())
        assert httpx.get(f"{told}/livez").status_code == 200
        celery.terminate()
        assert celery.wait(20) == 0, log.read_text()
    finally:
        celery.kill()
        celery.wait(10)


# --- processes that end -----------------------------------------------------------------------------------------------


def test_a_child_that_is_killed_again_and_again_costs_its_own_task_alone(redis_pair: Pair) -> None:
    """kill -9 of whoever is about to work: each task ends on the desk, with what is known of it."""
    redis_pair.register(1)
    worker = redis_pair.worker("--concurrency", "1", CROSSDOCK_FAULT="task.before-work:kill")

    until(lambda: len(redis_pair.desk()) == 1, worker.tail)

    (dead,) = redis_pair.desk()
    assert (dead["lane"], dead["attempts"]) == ("task", 2)
    assert "process" in str(dead["reason"])
    assert worker.is_alive
    assert mails(worker) == Counter()


def test_killed_children_lose_nothing(pair: Pair) -> None:
    worker = pair.worker("--concurrency", "2")
    addresses: set[str] = set()

    for _ in range(5):
        addresses |= pair.register(4)
        worker.kill_child()

    until(lambda: recipients(worker) == addresses, worker.tail)
    assert pair.desk() == []


def test_a_killed_worker_loses_nothing(pair: Pair) -> None:
    # Before there is a worker: a process that is frozen in a write to the SQLite file stops who else would write to it.
    addresses = pair.register(6)
    first = pair.worker("--concurrency", "2", CROSSDOCK_FAULT="task.after-work:freeze")
    until(lambda: bool(mails(first)), first.tail)

    first.close()  # all of it, with kill -9
    second = pair.worker("--concurrency", "2")

    until(lambda: recipients(second) == addresses, second.tail)
    assert pair.desk() == []
    ids = {message_id for _, message_id in mails(second)}
    assert len(ids) == len(addresses)  # what was sent twice bears the same id


def test_sigterm_lets_what_is_in_hand_end(redis_pair: Pair) -> None:
    addresses = redis_pair.register(60)
    worker = redis_pair.worker("--concurrency", "2")
    until(lambda: bool(mails(worker)), worker.tail)

    assert worker.end() == 0

    assert redis_pair.desk() == []
    successor = redis_pair.worker("--concurrency", "2")
    until(lambda: recipients(successor) == addresses, successor.tail)
    assert set(mails(successor).values()) == {1}


def test_ctrl_c_is_no_failure(redis_pair: Pair) -> None:
    worker = redis_pair.worker("--concurrency", "1")

    worker.process.send_signal(signal.SIGINT)

    assert worker.process.wait(30) == 0


def test_sigterm_ends_also_a_worker_whose_child_hangs(redis_pair: Pair) -> None:
    worker = redis_pair.worker("--concurrency", "1", CROSSDOCK_FAULT="task.before-work:freeze", CROSSDOCK_GRACE="2")
    redis_pair.register(1)
    until(lambda: any(child.state == "T" for child in worker.family()[1:]), worker.tail)
    children = worker.family()[1:]

    assert worker.end() == 0

    until(lambda: not any(child.alive for child in children), worker.tail)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_worker_without_its_broker_goes_on_trying_and_ends_when_told(scheme: str, tmp_path: Path) -> None:
    settings = {
        "DATABASE_URL": "sqlite:///crossdock.db",
        "CROSSDOCK_TASK_QUEUE": "celery",
        "CELERY_BROKER_URL": f"{scheme}://user:canary-5f3a9c@127.0.0.1:1/0",
        "CELERY_RESULT_BACKEND": "redis://:canary-5f3a9c@127.0.0.1:1/0",
        "CROSSDOCK_LOG_LEVEL": "debug",
    }
    with ExitStack() as stack:
        worker = Process(tmp_path, "worker", settings=settings)
        migrated = Process(tmp_path, "migrate", settings=settings).spawn()
        assert migrated.process.wait(60) == 0
        stack.callback(worker.close)
        worker.spawn()
        until(lambda: worker.log.count("Cannot connect to") >= 3, worker.tail)

        assert worker.end() == 0

        assert "canary" not in worker.log


def test_debugging_is_switched_on_in_all_processes_of_a_worker_and_off_again(redis_pair: Pair) -> None:
    """Celery has uses of its own for the other signals."""
    worker = redis_pair.worker("--concurrency", "2")
    addresses = redis_pair.register(1)
    until(lambda: recipients(worker) == addresses, worker.tail)

    for level in ("debug", "info"):
        worker.process.send_signal(signal.SIGUSR2)
        until(lambda: worker.log.count(f"at least {level} is logged") == 3, worker.tail)  # noqa: B023 - awaited here

    assert worker.end() == 0


# --- a database that goes away ----------------------------------------------------------------------------------------


def test_what_comes_while_the_database_is_away_is_kept_and_performed_when_it_is_back(
    redis_url: str, tmp_path: Path
) -> None:
    """A worker that cannot look at the rows does not empty the queue for nothing."""
    with private(PostgreSQL) as server, ExitStack() as stack:
        pair = Pair(tmp_path, redis_url, stack, DATABASE_URL=server.address)
        worker = pair.worker("--concurrency", "1")
        addresses = pair.register(1)
        until(lambda: recipients(worker) == addresses, worker.tail)
        worker.freeze()
        addresses |= pair.register(5)
        until(lambda: length_of(redis_url, pair.queue) > 0, pair.service.tail)
        server.kill()

        worker.thaw()
        until(lambda: "cannot be looked up" in worker.log, worker.tail)
        server.start()

        until(lambda: recipients(worker) == addresses, worker.tail)
        assert pair.desk() == []
        assert worker.end() == 0


def length_of(redis_url: str, queue: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        length = client.llen(queue)
        assert isinstance(length, int)
        return length


# --- bad settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"CROSSDOCK_TASK_QUEUE": "background"}, 2, "CROSSDOCK_TASK_QUEUE"),
        ({"CELERY_BROKER_URL": "sqs://canary-5f3a9c@"}, 2, "CELERY_BROKER_URL"),
        ({"DATABASE_URL": "memory://"}, 2, "DATABASE_URL"),
        ({}, 1, "crossdock migrate"),
    ],
    ids=["other queue", "unknown broker", "memory", "no database"],
)
@pytest.mark.parametrize(
    "command",
    [["entrypoints.cli", "worker"], ["celery", "-A", "entrypoints.celery_worker", "worker"]],
    ids=["crossdock", "celery"],
)
def test_what_is_wrong_is_told_before_anything_starts(
    command: list[str], settings: dict[str, str], code: int, words: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3] / "src"), "CROSSDOCK_TASK_QUEUE": "celery", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stdout + done.stderr
