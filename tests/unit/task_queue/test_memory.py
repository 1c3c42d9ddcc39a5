from collections.abc import AsyncIterator, Sequence

import pytest

from adapters.task_queue.memory import MemoryTaskQueue
from ports.deliveries import Delivery
from ports.task_queue import TaskQueue
from tests.builders import a_task
from tests.contracts.task_queue import TaskQueueContract
from tests.contracts.task_queue_outage import TaskQueueOutageContract


class TestMemoryTaskQueue(TaskQueueContract):
    @pytest.fixture
    async def queue(self, performed: list[str]) -> AsyncIterator[TaskQueue]:
        async def perform(task: Delivery) -> None:
            performed.append(task.id)

        queue = MemoryTaskQueue(perform)
        await queue.start()
        yield queue
        await queue.stop()

    async def let_perform(self, queue: TaskQueue, performed: Sequence[str], number: int) -> None:
        assert isinstance(queue, MemoryTaskQueue)
        await queue.perform_all()
        assert len(performed) == number


class TestMemoryTaskQueueOutage(TaskQueueOutageContract):
    @pytest.fixture
    async def queue(self, performed: list[str]) -> AsyncIterator[TaskQueue]:
        async def perform(task: Delivery) -> None:
            performed.append(task.id)

        queue = MemoryTaskQueue(perform)
        await queue.start()
        yield queue
        await queue.stop()

    async def let_perform(self, queue: TaskQueue, performed: Sequence[str], number: int) -> None:
        assert isinstance(queue, MemoryTaskQueue)
        await queue.perform_all()
        assert len(performed) == number

    async def take_away(self, queue: TaskQueue) -> None:
        await queue.stop()

    async def bring_back(self, queue: TaskQueue) -> None:
        await queue.start()


async def test_nothing_is_performed_before_it_is_told_to() -> None:
    performed: list[Delivery] = []

    async def perform(task: Delivery) -> None:
        performed.append(task)

    queue = MemoryTaskQueue(perform)
    await queue.start()
    tasks = [a_task(), a_task()]

    await queue.enqueue(tasks)

    assert (performed, list(queue.waiting)) == ([], tasks)
    assert await queue.perform_all() == 2
    assert (performed, list(queue.waiting)) == (tasks, [])
    assert await queue.perform_all() == 0


async def test_what_a_task_enqueues_is_performed_too() -> None:
    first, second = a_task(), a_task()

    async def perform(task: Delivery) -> None:
        if task is first:
            await queue.enqueue([second])

    queue = MemoryTaskQueue(perform)
    await queue.start()
    await queue.enqueue([first])

    assert await queue.perform_all() == 2


async def test_what_fails_is_told_and_the_rest_waits() -> None:
    tasks = [a_task(), a_task()]

    async def perform(task: Delivery) -> None:
        if task is tasks[0]:
            raise RuntimeError("the performer is broken")

    queue = MemoryTaskQueue(perform)
    await queue.start()
    await queue.enqueue(tasks)

    with pytest.raises(RuntimeError):
        await queue.perform_all()

    assert list(queue.waiting) == tasks[1:]
