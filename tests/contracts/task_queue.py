"""What every task queue promises, whatever carries the news."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import ClassVar

import pytest

from ports.deliveries import Delivery
from ports.errors import Unavailable
from ports.task_queue import TaskQueue
from tests.builders import a_task


class TaskQueueCases:
    """What cases are written with, and what an adapter gives to them."""

    patience: ClassVar[float] = 30  # seconds until a case gives up waiting for what was promised

    @pytest.fixture
    def performed(self) -> list[str]:
        """The ids of the tasks that a performer was given."""
        return []

    @pytest.fixture
    def queue(self, performed: list[str]) -> AsyncIterator[TaskQueue] | TaskQueue:
        """A started adapter whose performer, wherever it runs, adds to ``performed``; a case may stop it."""
        raise NotImplementedError(f"let the performer add to {performed}")

    async def let_perform(self, queue: TaskQueue, performed: Sequence[str], number: int) -> None:
        """Return when so many tasks have been performed."""
        raise NotImplementedError(f"{queue} has performed {len(performed)} of {number}")


class TaskQueueContract(TaskQueueCases):
    """All of it; a subclass whose name starts with ``Test`` proves one adapter.

    It defines the fixtures ``queue`` and ``performed``, and `let_perform`. What is promised when the server itself goes
    away stands in `task_queue_outage`.
    """

    async def test_nothing_becomes_of_no_tasks(self, queue: TaskQueue) -> None:
        assert list(await queue.enqueue([])) == []

    async def test_each_task_has_its_own_outcome(self, queue: TaskQueue) -> None:
        assert list(await queue.enqueue([a_task(), a_task(), a_task()])) == [None, None, None]

    async def test_what_was_handed_over_is_performed(self, queue: TaskQueue, performed: list[str]) -> None:
        tasks = [a_task() for _ in range(5)]

        await queue.enqueue(tasks)
        await self.let_perform(queue, performed, 5)

        assert set(performed) == ids(tasks)

    async def test_many_may_enqueue_at_once(self, queue: TaskQueue, performed: list[str]) -> None:
        batches = [[a_task() for _ in range(3)] for _ in range(20)]

        outcomes = await asyncio.gather(*(queue.enqueue(batch) for batch in batches))
        await self.let_perform(queue, performed, 60)

        assert [list(outcome) for outcome in outcomes] == [[None] * 3] * 20
        assert set(performed) == ids(task for batch in batches for task in batch)

    async def test_the_same_task_may_be_handed_over_again(self, queue: TaskQueue, performed: list[str]) -> None:
        """What is done and what is not stands in our own rows; the queue only brings the news."""
        task = a_task()
        await queue.enqueue([task])
        await self.let_perform(queue, performed, 1)

        await queue.enqueue([task])
        await self.let_perform(queue, performed, 2)

        assert set(performed) == {task.id}

    async def test_a_large_batch_is_handed_over_whole(self, queue: TaskQueue, performed: list[str]) -> None:
        tasks = [a_task() for _ in range(200)]

        outcomes = await queue.enqueue(tasks)
        await self.let_perform(queue, performed, 200)

        assert list(outcomes) == [None] * 200
        assert set(performed) == ids(tasks)

    async def test_there_is_room_in_a_queue_that_is_empty(self, queue: TaskQueue) -> None:
        """Enough for one batch: else nothing would ever be handed over."""
        assert queue.room() >= 1_000

    @pytest.mark.parametrize("rounds", range(3))
    async def test_who_stops_waiting_for_an_outcome_disturbs_nobody(
        self, queue: TaskQueue, performed: list[str], rounds: int
    ) -> None:
        """Whether its task is performed is open; what comes after it is."""
        leaving = asyncio.create_task(queue.enqueue([a_task()]))
        for _ in range(rounds):
            await asyncio.sleep(0)
        leaving.cancel()
        async with asyncio.timeout(self.patience):
            await asyncio.wait({leaving})
        arrived = 0 if leaving.cancelled() else 1
        task = a_task()

        async with asyncio.timeout(self.patience):
            assert list(await queue.enqueue([task])) == [None]
            await self.let_perform(queue, performed, arrived + 1)
            if task.id not in performed:  # the one that nobody waited for came before it
                await self.let_perform(queue, performed, arrived + 2)

        assert task.id in performed

    async def test_stopping_leaves_nobody_waiting(self, queue: TaskQueue) -> None:
        waiting = [asyncio.create_task(queue.enqueue([a_task()])) for _ in range(20)]
        await asyncio.sleep(0)

        async with asyncio.timeout(self.patience):
            await queue.stop()
            outcomes = await asyncio.gather(*waiting)

        assert all(outcome is None or isinstance(outcome, Unavailable) for (outcome,) in outcomes)

    async def test_a_stopped_queue_is_unavailable(self, queue: TaskQueue) -> None:
        await queue.stop()
        await queue.stop()

        outcomes = await queue.enqueue([a_task(), a_task()])

        assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]


def ids(tasks: Iterable[Delivery]) -> set[str]:
    return {task.id for task in tasks}
