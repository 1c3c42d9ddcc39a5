"""The port that relay, consumer and worker answer probes on, with real services."""

import asyncio
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from entrypoints.container import build
from entrypoints.settings import Settings
from ports.persistence import Record
from prove.process import ROOT, Process
from tests.builders import a_task
from tests.integration.task_queue.recording_worker import forget_queue

PATIENCE_SECONDS = 60.0
SEEN_SECONDS = 15.0  # what docs/operating.md promises
_PROBES = re.compile(r"Probes: (http://\S+)/readyz")


class Role:
    """A process with probes."""

    def __init__(self, process: Process) -> None:
        self.process = process
        found = _PROBES.search(process.log)
        assert found is not None, process.tail()
        self.address = found[1]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.address}{path}", timeout=5)

    def checks(self) -> dict[str, dict[str, str]]:
        checks: dict[str, dict[str, str]] = self.get("/readyz").json()["checks"]
        return checks

    def becomes(self, look: Callable[[httpx.Response], bool], seconds: float = PATIENCE_SECONDS) -> float:
        """Seconds until readiness is like that."""
        began = time.monotonic()
        while not look(answer := self.get("/readyz")):
            assert time.monotonic() - began < seconds, (answer.text, self.process.tail())
            time.sleep(0.1)
        return time.monotonic() - began


def is_ready(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and answer.json()["status"] == "ready"


Start = Callable[..., Role]


@pytest.fixture
def settings(database_url: str, rabbitmq_url: str, redis_url: str) -> Iterator[dict[str, str]]:
    prefix = f"test-{secrets.token_hex(4)}."
    yield {
        "DATABASE_URL": database_url,
        "CROSSDOCK_EVENT_BROKER": "rabbitmq",
        "RABBITMQ_URL": rabbitmq_url,
        "CROSSDOCK_TOPIC_PREFIX": prefix,
        "CROSSDOCK_PARTITIONS": "2",
        "CROSSDOCK_TASK_QUEUE": "celery",
        "CELERY_BROKER_URL": redis_url,
        "CELERY_RESULT_BACKEND": redis_url,
        "CROSSDOCK_PROBE_PORT": "0",
        "CROSSDOCK_LOG_FORMAT": "json",
    }
    forget_queue(redis_url, f"{prefix}crossdock.tasks")
    for topic in ("order_events", "user_events"):
        for partition in (0, 1):
            forget_queue(rabbitmq_url, f"{prefix}crossdock.{topic}.{partition}")


@pytest.fixture
def start(settings: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        run(settings, "migrate")

        def begin(*command: str, **more: str) -> Role:
            process = Process(tmp_path, *command, settings={**settings, **more})
            return Role(stack.enter_context(process))

        yield begin


def run(settings: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **settings}
    arguments = [sys.executable, "-m", "entrypoints.cli", *command]
    return subprocess.run(arguments, env=environ, capture_output=True, text=True, timeout=60, check=False)


def samples(metrics: str, name: str) -> dict[str, float]:
    """The samples of one metric by their labels."""
    lines = (line.rpartition(" ") for line in metrics.splitlines() if line.startswith(f"{name}{{"))
    return {labels.removeprefix(name): float(value) for labels, _, value in lines}


@pytest.mark.parametrize(
    ("role", "checks"),
    [
        ("relay", {"storage", "event_broker", "event_relay", "task_relay"}),
        ("consumer", {"storage", "event_broker", "consumer", "retry"}),
        ("worker", {"storage", "task_queue", "performers"}),
    ],
)
def test_a_role_without_http_answers_probes_and_metrics(role: str, checks: set[str], start: Start) -> None:
    process = start(role)

    process.becomes(is_ready)

    assert process.get("/livez").json() == {"status": "alive"}
    assert checks <= process.checks().keys()
    metrics = process.get("/metrics").text
    assert set(samples(metrics, "crossdock_check").values()) == {0}
    assert "crossdock_deliveries{" in metrics
    assert process.get("/orders/").status_code == 404
    assert process.process.end() == 0


def test_without_a_port_a_role_listens_nowhere(start: Start, tmp_path: Path, settings: dict[str, str]) -> None:
    """So several of a role are no trouble to each other on one machine."""
    del start
    with Process(tmp_path, "relay", settings={**settings, "CROSSDOCK_PROBE_PORT": ""}) as relay:
        listening = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True, check=True).stdout

        assert f"pid={relay.process.pid}," not in listening


@pytest.mark.parametrize("role", ["relay", "worker"])
def test_a_port_that_is_taken_is_told_with_its_setting(role: str, settings: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run({**settings, "CROSSDOCK_PROBE_PORT": str(port)}, role)

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "CROSSDOCK_PROBE_PORT=" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_frozen_process_of_a_worker_is_seen_and_so_is_its_return(start: Start) -> None:
    worker = start("worker", "--concurrency", "2")
    worker.becomes(is_ready)
    first, second = (child.pid for child in worker.process.family()[1:])

    os.kill(first, signal.SIGSTOP)
    seconds = worker.becomes(lambda answer: answer.json().get("status") == "degraded")
    one = worker.get("/readyz").json()["checks"]["performers"]
    os.kill(second, signal.SIGSTOP)
    worker.becomes(lambda answer: answer.status_code == 503)
    for child in (first, second):
        os.kill(child, signal.SIGCONT)
    worker.becomes(is_ready, seconds=SEEN_SECONDS)

    assert seconds < SEEN_SECONDS
    assert one["cause"] == "stuck"
    assert f"process {first}" in one["detail"]
    assert worker.process.log.count('"message": "check is in trouble"') == 1


def test_a_worker_without_its_broker_lives_and_is_not_ready(
    start: Start, tmp_path: Path, settings: dict[str, str]
) -> None:
    """It answers before Celery has connected for the first time: else it would be restarted for an outage."""
    del start
    port = _free_port()
    more = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "CROSSDOCK_PROBE_PORT": str(port)}
    worker = Process(tmp_path, "worker", settings={**settings, **more})
    with ExitStack() as stack:
        stack.callback(worker.close)
        worker.spawn()

        answer = _first_answer(f"http://127.0.0.1:{port}/readyz")

        assert answer.status_code == 503
        assert answer.json()["checks"]["task_queue"]["cause"] == "out_of_reach"
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        assert worker.end() == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _first_answer(address: str) -> httpx.Response:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return httpx.get(address, timeout=5)
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_worker_tells_the_metrics_of_each_of_its_processes(start: Start, settings: dict[str, str]) -> None:
    """They perform, and the parent that answers does not."""
    start("relay")
    worker = start("worker", "--concurrency", "2")
    worker.becomes(is_ready)

    asyncio.run(record_what_nobody_can_perform(settings))
    began = time.monotonic()
    while sum(samples(text := worker.get("/metrics").text, "crossdock_dead_total").values()) < 1:
        assert time.monotonic() - began < PATIENCE_SECONDS, worker.process.tail()
        time.sleep(0.2)

    up = samples(text, "crossdock_worker_up")
    assert up == {'{worker="0"}': 1, '{worker="1"}': 1, '{worker="parent"}': 1}
    (dead,) = (labels for labels, count in samples(text, "crossdock_dead_total").items() if count)
    assert 'worker="parent"' not in dead
    assert worker.process.end() == 0


async def record_what_nobody_can_perform(settings: dict[str, str]) -> None:
    persistence = build(Settings.load(settings, None)).persistence()
    await persistence.start()
    try:
        await persistence.commit([Record(a_task(due_at=(now := datetime.now(UTC)), recorded_at=now))])
    finally:
        await persistence.stop()
