"""Time in the hand of a test."""

import asyncio
import heapq
import itertools
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ports.clock import Clock

T = TypeVar("T")

_START = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
# A quiet round may still be followed by a busy one: bytes may have just been written to a socket of our own.
_QUIET_ROUNDS = 10
_ROUNDS_MOST = 100_000


class ManualClock(Clock):
    """A clock that stands still until it is told to move.

    Whoever sleeps on it wakes in `advance`, in the order of their due times, each at exactly its own moment. It lives
    on one event loop; what runs in threads or in other processes is not waited for.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many sleep on this clock now."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    @property
    def next_wake(self) -> float | None:
        """The `monotonic` time at which the next sleeper is due; None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():  # cancelled
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def jump(self, seconds: float) -> None:
        """Set the wall clock alone forward or back; nobody wakes, since waits are on the monotonic scale."""
        self._start += timedelta(seconds=seconds)

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, wake whoever is due, and return when nothing is left to run now."""
        await self._advance_to(self._elapsed + seconds)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` to its end, moving time to the next sleeper whenever everybody waits; the result of the work.

        For work that waits for this clock only: when nobody sleeps and the work is not done, it never will be.
        """
        task = asyncio.ensure_future(work)
        try:
            await self.settle()
            while not task.done():
                wake = self.next_wake
                if wake is None:
                    raise AssertionError("the work waits for something that is not this clock")
                await self._advance_to(wake)
            return await task
        finally:
            task.cancel()

    async def settle(self) -> None:
        """Let everything run that can run without time passing."""
        # The loop's own list of what is ready is the only exact answer; one that hides it (uvloop) gets fixed rounds.
        ready = getattr(asyncio.get_running_loop(), "_ready", ())
        quiet = 0
        for _ in range(_ROUNDS_MOST):
            await asyncio.sleep(0)
            quiet = 0 if ready else quiet + 1
            if quiet == _QUIET_ROUNDS:
                return
        raise AssertionError("something runs without end and without waiting for this clock")

    async def _advance_to(self, end: float) -> None:
        await self.settle()
        while (wake := self.next_wake) is not None and wake <= end:
            _, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = wake
            woken.set_result(None)
            await self.settle()
        self._elapsed = end
        await self.settle()
