"""A task queue for test suites, which performs when it is told to."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from ports.deliveries import Delivery
from ports.errors import Unavailable
from ports.event_broker import Outcome
from ports.task_queue import TaskQueue


class MemoryTaskQueue(TaskQueue):
    """Keeps what it is given, in order, until `perform_all`."""

    def __init__(self, perform: Callable[[Delivery], Awaitable[None]]) -> None:
        self._perform = perform
        self._waiting: deque[Delivery] = deque()
        self._is_open = False

    @property
    def waiting(self) -> Sequence[Delivery]:
        """What was given and not performed yet."""
        return tuple(self._waiting)

    async def start(self) -> None:
        self._is_open = True

    async def stop(self) -> None:
        self._is_open = False

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        if not self._is_open:
            return [Unavailable("the in-memory task queue is not started") for _ in tasks]
        self._waiting.extend(tasks)
        return [None] * len(tasks)

    async def perform_all(self) -> int:
        """Perform what waits, and what is enqueued by that, one after the other; how many there were.

        What the performer raises is raised here; the rest goes on waiting.
        """
        performed = 0
        while self._waiting:
            await self._perform(self._waiting.popleft())
            performed += 1
        return performed
