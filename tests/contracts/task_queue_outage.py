"""What every task queue promises when its server goes away and comes back.

A subclass of `TaskQueueOutageContract` whose name starts with ``Test`` proves one adapter, with a server that is its
own: it defines the fixtures ``queue`` and ``performed`` and fills `let_perform`, `take_away` and `bring_back`.

Nothing is promised for what the queue had: our own rows know what is done, and what was lost is handed over again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from ports.errors import Unavailable
from ports.task_queue import TaskQueue
from tests.builders import a_task
from tests.contracts.task_queue import TaskQueueCases


class TaskQueueOutageContract(TaskQueueCases):
    """All of it."""

    in_time: ClassVar[float] = 15  # seconds in which each call ends while nobody is there

    async def take_away(self, queue: TaskQueue) -> None:
        """Kill the server, as by ``kill -9``."""
        raise NotImplementedError(f"kill the server of {queue}")

    async def bring_back(self, queue: TaskQueue) -> None:
        """Start the server again; returns when a new client could reach it."""
        raise NotImplementedError(f"start the server of {queue} again")

    async def a_moment(self) -> None:
        """Let others do something, before looking again."""
        await asyncio.sleep(0)

    async def anew(self, queue: TaskQueue) -> TaskQueue:
        """Stop this adapter and start one for the same server, which may be gone."""
        await queue.stop()
        await queue.start()
        return queue

    async def test_what_is_handed_over_meanwhile_is_unavailable_in_time(self, queue: TaskQueue) -> None:
        await self.take_away(queue)

        async with asyncio.timeout(self.in_time):
            outcomes = await queue.enqueue([a_task() for _ in range(3)])

        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3

    async def test_handing_over_goes_on_by_itself(self, queue: TaskQueue, performed: list[str]) -> None:
        await self.take_away(queue)
        await queue.enqueue([a_task()])
        await self.bring_back(queue)

        assert await self.is_performed_at_last(queue, performed)

    async def test_a_queue_that_was_never_used_before_the_outage_works_after_it(
        self, queue: TaskQueue, performed: list[str]
    ) -> None:
        await self.take_away(queue)
        await self.bring_back(queue)

        assert await self.is_performed_at_last(queue, performed)

    async def test_stopping_meanwhile_ends_in_time(self, queue: TaskQueue) -> None:
        await self.take_away(queue)

        async with asyncio.timeout(self.in_time):
            await queue.stop()

    async def test_it_starts_without_a_server_and_works_when_there_is_one(
        self, queue: TaskQueue, performed: list[str]
    ) -> None:
        await self.take_away(queue)
        async with asyncio.timeout(self.in_time):
            queue = await self.anew(queue)
        await self.bring_back(queue)

        assert await self.is_performed_at_last(queue, performed)

    # What the cases are written with

    async def is_performed_at_last(self, queue: TaskQueue, performed: Sequence[str]) -> bool:
        """Whether a task is performed that is handed over again and again until it is taken."""
        task = a_task()

        async def is_taken() -> bool:
            return list(await queue.enqueue([task])) == [None]

        assert await self.becomes(is_taken)
        await self.let_perform(queue, performed, len(performed) + 1)
        return task.id in performed

    async def becomes(self, look: Callable[[], Awaitable[bool]]) -> bool:
        try:
            async with asyncio.timeout(self.patience):
                while not await look():
                    await self.a_moment()
        except TimeoutError:
            return False
        return True
