"""Task queues that lie: each is an honest one that breaks one promise."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from adapters.task_queue.memory import MemoryTaskQueue
from ports.deliveries import Delivery
from ports.errors import Rejected, Unavailable
from ports.event_broker import Outcome
from ports.task_queue import TaskQueue
from tests.unit.zoo.judge import LibraryError


class LyingTaskQueue(TaskQueue):
    """Passes everything on to an honest queue; each liar changes one thing."""

    def __init__(self, honest: MemoryTaskQueue) -> None:
        self.honest = honest
        self.is_down = False

    async def start(self) -> None:
        await self.honest.start()

    async def stop(self) -> None:
        await self.honest.stop()

    async def crash(self) -> None:
        """The server is killed."""
        self.is_down = True
        await self.honest.stop()

    async def recover(self) -> None:
        """The server is started again."""
        self.is_down = False
        await self.honest.start()

    def room(self) -> int:
        return self.honest.room()

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        return [await self.enqueue_one(task) for task in tasks]

    async def enqueue_one(self, task: Delivery) -> Outcome:
        (outcome,) = await self.honest.enqueue([task])
        return outcome


class NeverPerforms(LyingTaskQueue):
    """Takes everything and does nothing."""

    async def enqueue_one(self, task: Delivery) -> Outcome:  # noqa: ARG002
        return None


class LosesEveryFiftieth(LyingTaskQueue):
    """Says that it has taken it."""

    count = 0

    async def enqueue_one(self, task: Delivery) -> Outcome:
        self.count += 1
        return None if self.count % 50 == 0 else await super().enqueue_one(task)


class LosesWhatComesMeanwhile(LyingTaskQueue):
    """Has one buffer for all who hand over at once, and empties it for the first."""

    is_busy = False

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        if self.is_busy:
            return [None for _ in tasks]
        self.is_busy = True
        await asyncio.sleep(0)
        self.is_busy = False
        return await super().enqueue(tasks)


class PerformsAnother(LyingTaskQueue):
    """The performer is told of a task that nobody knows."""

    async def enqueue_one(self, task: Delivery) -> Outcome:
        return await super().enqueue_one(replace(task, id=task.id.upper() + "-1"))


class TakesATaskOnce(LyingTaskQueue):
    """Knows better than our rows what is done."""

    def __init__(self, honest: MemoryTaskQueue) -> None:
        super().__init__(honest)
        self.seen: set[str] = set()

    async def enqueue_one(self, task: Delivery) -> Outcome:
        if task.id in self.seen:
            return None
        self.seen.add(task.id)
        return await super().enqueue_one(task)


class AnswersOnceForTheBatch(LyingTaskQueue):
    """One outcome, however many tasks."""

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        return (await super().enqueue(tasks))[:1]


class WantsSomethingToHandOver(LyingTaskQueue):
    """Does not know what to do with an empty batch."""

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        return await super().enqueue(tasks) if tasks else [None]


class HasNoRoom(LyingTaskQueue):
    """So that nothing is ever handed over."""

    def room(self) -> int:
        return 0


class HoldsItsLockWhenCancelled(LyingTaskQueue):
    """Who is cancelled while handing over locks out all others."""

    def __init__(self, honest: MemoryTaskQueue) -> None:
        super().__init__(honest)
        self.lock = asyncio.Lock()

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        await self.lock.acquire()
        await asyncio.sleep(0)
        outcomes = await super().enqueue(tasks)
        self.lock.release()
        return outcomes


class StopsWithPeopleWaiting(LyingTaskQueue):
    """Nobody answers those who hand over when it stops."""

    async def enqueue_one(self, task: Delivery) -> Outcome:
        await asyncio.sleep(0)
        outcome = await super().enqueue_one(task)
        return await asyncio.Future() if isinstance(outcome, Unavailable) else outcome


class StopsOnce(LyingTaskQueue):
    """And breaks the second time."""

    has_stopped = False

    async def stop(self) -> None:
        if self.has_stopped:
            self.has_stopped = False
            raise LibraryError("the pool is closed already")
        self.has_stopped = True
        await super().stop()


class RejectsWhatIsMerelyUnavailable(LyingTaskQueue):
    """Sends to the desk what would have gone through a minute later."""

    async def enqueue_one(self, task: Delivery) -> Outcome:
        outcome = await super().enqueue_one(task)
        return Rejected(str(outcome)) if isinstance(outcome, Unavailable) else outcome


class ReportsSuccessWhenItIsDown(LyingTaskQueue):
    """Fire and forget."""

    async def enqueue_one(self, task: Delivery) -> Outcome:
        outcome = await super().enqueue_one(task)
        return None if isinstance(outcome, Unavailable) else outcome


class RaisesInsteadOfAnswering(LyingTaskQueue):
    """Its library's error, and no outcome."""

    async def enqueue_one(self, task: Delivery) -> Outcome:
        outcome = await super().enqueue_one(task)
        if isinstance(outcome, Unavailable):
            raise LibraryError("OperationalError")
        return outcome


class HangsWhenItIsDown(StopsWithPeopleWaiting):
    """Tries for ever, as ``delay()`` does."""


class HangsInStopWhenItIsDown(LyingTaskQueue):
    """Says goodbye to nobody."""

    async def stop(self) -> None:
        if self.is_down:
            self.is_down = False
            await asyncio.Future()
        await super().stop()


class NeverReconnects(LyingTaskQueue):
    """What failed once fails for ever."""

    has_failed = False

    async def enqueue_one(self, task: Delivery) -> Outcome:
        outcome = await super().enqueue_one(task)
        self.has_failed |= isinstance(outcome, Unavailable)
        return Unavailable("not connected") if self.has_failed else outcome


class KeepsItsFirstConnection(LyingTaskQueue):
    """Does not notice that it is dead, not even by an error."""

    was_down = False

    async def crash(self) -> None:
        await super().crash()
        self.was_down = True

    async def enqueue_one(self, task: Delivery) -> Outcome:
        outcome = await super().enqueue_one(task)
        return Unavailable("broken pipe") if self.was_down else outcome


class FailsToStartWithoutAServer(LyingTaskQueue):
    """So that a service cannot start before its queue."""

    async def start(self) -> None:
        if self.is_down:
            raise LibraryError("ConnectionRefused")
        await super().start()
