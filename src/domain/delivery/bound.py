"""The work of others, given so long and no longer."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from domain.delivery.failures import is_told_to_end


class Stopped(Exception):
    """The work was cancelled, and not by us."""


@dataclass(slots=True, eq=False)
class _Work:
    task: "asyncio.Task[object]"
    ends: float  # on the clock of the loop
    was_told: int  # how often the task had been told to end before
    is_late: bool = False


class Bound:
    """Gives each work the same number of seconds.

    So the first that began is the first whose time is over, and one timer does for all of them: to set one for each
    message and to take it back is more than what bounds are worth. An instance belongs to one event loop.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._works: dict[_Work, None] = {}  # the one that began first is the first
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, awaited: Awaitable[None]) -> None:
        """Await it; raises what it raises, and `TimeoutError` when it has not ended in time.

        A cancellation that nobody asked us for (of something that the work awaits) is a failure like any other: passed
        on it would end whoever waits here.
        """
        loop = asyncio.get_running_loop()
        if (task := asyncio.current_task()) is None:
            raise RuntimeError("what is bounded runs in a task")
        work = _Work(task, loop.time() + self._seconds, task.cancelling())
        self._works[work] = None
        if self._timer is None:
            self._timer = loop.call_at(work.ends, self._end_late)
        try:
            await awaited
        except asyncio.CancelledError as error:
            was_late, work.is_late = work.is_late, False
            if was_late and task.uncancel() <= work.was_told:
                raise TimeoutError(f"not done after {self._seconds:g} seconds") from None
            if is_told_to_end():
                raise
            raise Stopped("something that it waited for was cancelled") from error
        finally:
            del self._works[work]
            if work.is_late:
                task.uncancel()

    def _end_late(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for work in self._works:
            if work.ends > loop.time():
                self._timer = loop.call_at(work.ends, self._end_late)
                break
            if not work.is_late:
                work.is_late = True
                work.task.cancel()
