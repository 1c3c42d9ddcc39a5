"""A task queue inside this process, for work that may begin right after the answer to a web request."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, ContextVar, copy_context

import structlog

from ports.deliveries import Delivery
from ports.errors import Unavailable
from ports.event_broker import Outcome
from ports.task_queue import TaskQueue

_LAST_WORD_S = 1.0  # for what was cancelled to end

_log = structlog.get_logger("crossdock.task_queue")


class Held(list[Delivery]):
    """Tasks that wait until the answer to a request is sent."""

    def __init__(self, queue: "BackgroundTaskQueue") -> None:
        super().__init__()
        self.queue = queue
        self.is_released = False


_held: ContextVar[Held | None] = ContextVar("held", default=None)


class BackgroundTaskQueue(TaskQueue):
    """Performs tasks on the running event loop, at most ``slots`` at once, the others in the order they came.

    What does not fit among the ``most_waiting`` is `Unavailable`: its row stays, and is picked up later. What waits
    when the queue is stopped is forgotten for the same reason; what is in hand has ``grace`` seconds to end.
    """

    def __init__(
        self,
        perform: Callable[[Delivery], Awaitable[None]],
        *,
        slots: int = 16,
        most_waiting: int = 1_000,
        grace: float = 5,
    ) -> None:
        self._perform = perform
        self._slots = slots
        self._most_waiting = most_waiting
        self._grace = grace
        self._waiting: OrderedDict[str, Delivery] = OrderedDict()
        self._workers: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._context: Context | None = None  # while it is started

    async def start(self) -> None:
        self._context = copy_context()

    async def stop(self) -> None:
        self._context = None
        self._waiting.clear()
        for seconds in (self._grace, _LAST_WORD_S):
            if self._workers:
                await asyncio.wait(self._workers, timeout=seconds)
            for worker in self._workers:
                worker.cancel()

    def room(self) -> int:
        return self._slots - len(self._workers) + self._most_waiting - len(self._waiting)

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        held = _held.get()
        if held is not None and held.queue is self and not held.is_released:
            held.extend(tasks)
            return [None] * len(tasks)
        return [self._take(task) for task in tasks]

    def hold(self) -> Held:
        """Collect what is enqueued from the current context from now on, until the returned list is released."""
        held = Held(self)
        _held.set(held)
        return held

    async def release(self, held: Held) -> None:
        """Enqueue what was held back. What there is no room for is picked up later."""
        held.is_released = True
        for task in held:
            self._take(task)
        held.clear()

    async def idle(self) -> None:
        """Return when nothing waits and nothing is in hand; for test suites."""
        await self._idle.wait()

    def _take(self, task: Delivery) -> Outcome:
        if self._context is None:
            return Unavailable("the background task queue is not started")
        if len(self._workers) < self._slots:
            self._idle.clear()
            # In a context of its own: what a request has bound or holds back is not the task's.
            work = asyncio.get_running_loop().create_task(self._work(task), context=self._context.copy())
            self._workers.add(work)
        elif task.id in self._waiting or len(self._waiting) < self._most_waiting:
            self._waiting[task.id] = task  # in the place of an older state of the same task
        else:
            return Unavailable(f"{self._most_waiting:,} tasks wait already")
        return None

    async def _work(self, task: Delivery) -> None:
        """Perform this task and then what waits, until nothing does."""
        try:
            while True:
                await self._perform_safely(task)
                if not self._waiting:
                    return
                _, task = self._waiting.popitem(last=False)
        finally:
            # Here and not in a callback of the task, which would come after others have counted the workers.
            self._workers.discard(_current_task())
            if not self._workers:
                self._idle.set()

    async def _perform_safely(self, task: Delivery) -> None:
        try:
            await self._perform(task)
        except asyncio.CancelledError:
            # Of this worker, or of something that the performer awaited?
            if _current_task().cancelling():
                raise
            _log.exception("task performer was cancelled", id=task.id, name=task.name)
        except Exception:
            _log.exception("task performer failed", id=task.id, name=task.name)


def _current_task() -> asyncio.Task[None]:
    current = asyncio.current_task()
    assert current is not None  # noqa: S101 - a worker is a task
    return current
