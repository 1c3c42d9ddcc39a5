"""Celery on brokers that go away: killed, frozen, emptied, never there."""

import asyncio
import gc
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.task_queue.celery import CeleryTaskQueue
from ports.errors import Unavailable
from ports.event_broker import Outcome
from ports.task_queue import TaskQueue
from tests.builders import a_task
from tests.contracts.task_queue_outage import TaskQueueOutageContract
from tests.integration.task_queue.cases import CeleryCases
from tests.integration.task_queue.recording_worker import ROOT, RecordingWorker
from tests.services import private
from tools.services.rabbitmq import RabbitMQ
from tools.services.redis import Redis
from tools.services.server import Server

QUEUE = "crossdock.tasks"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, RecordingWorker]]:
    with (
        private(Redis) as server,
        RecordingWorker(server.address, QUEUE, tmp_path_factory.mktemp("redis")) as worker,
    ):
        yield server, worker


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, RecordingWorker]]:
    with (
        private(RabbitMQ) as server,
        RecordingWorker(server.address, QUEUE, tmp_path_factory.mktemp("rabbitmq")) as worker,
    ):
        yield server, worker


class CeleryOutage(TaskQueueOutageContract, CeleryCases):
    """The contract, and what a server that freezes is good for."""

    server: Server

    async def take_away(self, queue: TaskQueue) -> None:  # noqa: ARG002
        await asyncio.to_thread(self.server.kill)

    async def bring_back(self, queue: TaskQueue) -> None:  # noqa: ARG002
        await asyncio.to_thread(self.server.start)

    async def a_moment(self) -> None:
        await asyncio.sleep(0.05)

    @pytest.fixture(autouse=True)
    def is_back(self) -> Iterator[None]:
        yield
        self.server.thaw()
        self.server.start()

    async def test_a_broker_that_is_frozen_is_unavailable_in_time_and_taken_up_again(
        self, queue: TaskQueue, performed: list[str]
    ) -> None:
        """It takes connections, as the operating system does for it, and answers nothing."""
        await queue.enqueue([a_task()])
        await self.let_perform(queue, performed, 1)
        await asyncio.to_thread(self.server.freeze)

        async with asyncio.timeout(self.in_time):
            outcomes = await queue.enqueue([a_task() for _ in range(3)])

        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
        await asyncio.to_thread(self.server.thaw)
        assert await self.is_taken_at_last(queue)

    async def test_the_event_loop_goes_on_while_a_broker_is_frozen(self, queue: TaskQueue) -> None:
        await asyncio.to_thread(self.server.freeze)
        turns = 0

        handing_over = asyncio.create_task(queue.enqueue([a_task()]))
        while not handing_over.done():
            turns += 1
            await asyncio.sleep(0.001)

        assert isinstance((await handing_over)[0], Unavailable)
        assert turns > 100  # in seconds; one call that blocks would leave it at a few

    async def test_stopping_while_a_broker_is_frozen_ends_in_time(self, queue: TaskQueue) -> None:
        await asyncio.to_thread(self.server.freeze)
        waiting = [asyncio.create_task(queue.enqueue([a_task()])) for _ in range(5)]
        await asyncio.sleep(0)

        async with asyncio.timeout(self.in_time):
            await queue.stop()
            outcomes = await asyncio.gather(*waiting)

        assert [type(outcome) for (outcome,) in outcomes] == [Unavailable] * 5

    async def is_taken_at_last(self, queue: TaskQueue) -> bool:
        async def is_taken() -> bool:
            return list(await queue.enqueue([a_task()])) == [None]

        return await self.becomes(is_taken)


class TestCeleryOnRedisOutage(CeleryOutage):
    @pytest.fixture
    def worker(self, redis: tuple[Server, RecordingWorker]) -> RecordingWorker:
        self.server, worker = redis
        return worker

    async def test_a_broker_that_forgets_everything_is_used_on(self, queue: TaskQueue, performed: list[str]) -> None:
        """FLUSHALL: what it had is lost, and what comes after it is performed."""
        await queue.enqueue([a_task()])
        await self.let_perform(queue, performed, 1)
        self.flush()
        tasks = [a_task() for _ in range(3)]

        outcomes = await queue.enqueue(tasks)

        assert list(outcomes) == [None] * 3
        await self.let_perform(queue, performed, 4)
        assert set(performed[1:]) == {task.id for task in tasks}

    async def test_a_broker_that_restarts_again_and_again_is_used_on(
        self, queue: TaskQueue, performed: list[str]
    ) -> None:
        for _ in range(5):
            await self.take_away(queue)
            await queue.enqueue([a_task()])
            await self.bring_back(queue)

        assert await self.is_taken_at_last(queue)
        await self.let_perform(queue, performed, 1)

    def flush(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(100) == b"+OK\r\n"


class TestCeleryOnRabbitMQOutage(CeleryOutage):
    @pytest.fixture
    def worker(self, rabbitmq: tuple[Server, RecordingWorker]) -> RecordingWorker:
        self.server, worker = rabbitmq
        return worker


# --- a port behind which nobody speaks --------------------------------------------------------------------------------


@contextmanager
def a_black_hole() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
async def hasty() -> AsyncIterator[Any]:
    """Makes queues without patience, and stops them."""
    made = []

    async def make(url: str) -> CeleryTaskQueue:
        queue = CeleryTaskQueue(url, deadline=0.5, socket_seconds=0.2)
        made.append(queue)
        await queue.start()
        return queue

    yield make
    for queue in made:
        await queue.stop()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_a_black_hole_is_unavailable_again_and_again(scheme: str, hasty: Any) -> None:
    with a_black_hole() as port:
        queue = await hasty(f"{scheme}://user:canary-5f3a9c@127.0.0.1:{port}/0")

        told: list[Outcome] = []
        for _ in range(5):
            async with asyncio.timeout(10):
                told += await queue.enqueue([a_task(), a_task(attempts=1)])

    assert [type(outcome) for outcome in told] == [Unavailable] * 10
    assert not any("canary" in repr(outcome) for outcome in told)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_many_who_wait_for_a_black_hole_wait_no_longer_than_one(scheme: str, hasty: Any) -> None:
    with a_black_hole() as port:
        queue = await hasty(f"{scheme}://127.0.0.1:{port}/0")

        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*(queue.enqueue([a_task()]) for _ in range(100)))

    assert [type(outcome) for (outcome,) in outcomes] == [Unavailable] * 100


def test_a_process_ends_though_a_send_hangs() -> None:
    """No thread of ours keeps the interpreter from ending; the time-outs alone would let it hang for minutes."""
    with a_black_hole() as port:
        script = (
            "import asyncio\n"
            "from adapters.task_queue.celery import CeleryTaskQueue\n"
            "from tests.builders import a_task\n"
            "async def main():\n"
            f"    queue = CeleryTaskQueue('redis://127.0.0.1:{port}/0', deadline=600, socket_seconds=600)\n"
            "    await queue.start()\n"
            "    sending = asyncio.ensure_future(queue.enqueue([a_task()]))\n"
            "    await asyncio.sleep(0.5)\n"
            "    await queue.stop()\n"
            "    print('stopped', flush=True)\n"
            "asyncio.run(main())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://guest:guest@127.0.0.1:1/"])
async def test_a_broker_that_refuses_costs_no_descriptor_an_attempt(url: str) -> None:
    """They would be freed by the garbage collector alone, which a service that lives long calls seldom."""
    queue = CeleryTaskQueue(url, queue="nobody")
    await queue.start()
    await queue.enqueue([a_task()])
    gc.collect()
    gc.disable()
    try:
        before = descriptors()
        for _ in range(10):
            await queue.enqueue([a_task()])
        after = descriptors()
    finally:
        gc.enable()
        await queue.stop()

    assert after <= before + 2
