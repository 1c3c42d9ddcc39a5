"""Celery on the standing brokers, with a real worker."""

import secrets
from collections.abc import Iterator

import pytest

from adapters.task_queue.celery import CeleryTaskQueue
from ports.task_queue import TaskQueue
from tests.builders import a_task
from tests.contracts.task_queue import TaskQueueContract
from tests.integration.task_queue.cases import CeleryCases
from tests.integration.task_queue.recording_worker import RecordingWorker, forget_queue


def a_queue_name() -> str:
    return f"test-{secrets.token_hex(4)}.crossdock.tasks"


@pytest.fixture(scope="module")
def redis_worker(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingWorker]:
    with RecordingWorker(redis_url, a_queue_name(), tmp_path_factory.mktemp("redis")) as worker:
        yield worker
    forget_queue(redis_url, worker.queue)


@pytest.fixture(scope="module")
def rabbitmq_worker(rabbitmq_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingWorker]:
    with RecordingWorker(rabbitmq_url, a_queue_name(), tmp_path_factory.mktemp("rabbitmq")) as worker:
        yield worker
    forget_queue(rabbitmq_url, worker.queue)


class MoreThanTheContract(CeleryCases):
    """What only Celery promises."""

    async def test_tasks_travel_together_and_those_that_failed_before_alone(
        self, queue: TaskQueue, worker: RecordingWorker, performed: list[str]
    ) -> None:
        fresh, failed = [a_task() for _ in range(40)], [a_task(attempts=1) for _ in range(2)]

        await queue.enqueue([*failed, *fresh])
        await self.let_perform(queue, performed, 42)

        assert sorted(map(len, worker.messages)) == [1, 1, *[5] * 8]
        assert {message[0] for message in worker.messages if len(message) == 1} == {task.id for task in failed}

    async def test_the_worker_goes_on_after_what_is_no_message_of_ours(
        self, queue: TaskQueue, worker: RecordingWorker, performed: list[str]
    ) -> None:
        assert isinstance(queue, CeleryTaskQueue)
        app = queue.worker_app(lambda _: None)
        with app.connection_for_write() as connection:
            producer = app.amqp.Producer(connection)
            for body, more in (
                (b"\xff\x00", {"content_type": "application/json", "content_encoding": "utf-8"}),
                (b"gASVAA==", {"content_type": "application/x-python-serialize", "content_encoding": "binary"}),
                ("text", {}),
            ):
                producer.publish(body, exchange="", routing_key=worker.queue, **more)
            for name, args in (("nobody.knows", []), ("crossdock.perform", [1]), ("crossdock.perform", [[["a"]]])):
                app.send_task(name, args=args, ignore_result=True, connection=connection)
        task = a_task()

        await queue.enqueue([task])
        await self.let_perform(queue, performed, 1)

        assert performed == [task.id]


class TestCeleryOnRedis(TaskQueueContract, MoreThanTheContract):
    @pytest.fixture
    def worker(self, redis_worker: RecordingWorker) -> RecordingWorker:
        return redis_worker


class TestCeleryOnRabbitMQ(TaskQueueContract, MoreThanTheContract):
    @pytest.fixture
    def worker(self, rabbitmq_worker: RecordingWorker) -> RecordingWorker:
        return rabbitmq_worker
