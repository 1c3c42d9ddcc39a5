"""The time: the machine's own, or that of a store which several machines share."""

import asyncio
import time
from datetime import UTC, datetime

from ports.clock import Clock


class SystemClock(Clock):
    """Wall clock and monotonic clock of the operating system; waits on the running event loop."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class StoreClock(SystemClock):
    """Tells the wall time of the store, so that machines whose clocks differ agree on what is due.

    Between two corrections it goes on by the monotonic clock: a wall clock that jumps changes nothing. Until the first
    one it is this machine's own.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None  # of the monotonic clock, in seconds since 1970

    def correct(self, now: datetime) -> None:
        """The store says that it is ``now``."""
        self._ahead = now.timestamp() - time.monotonic()

    def now(self) -> datetime:
        if self._ahead is None:
            return super().now()
        return datetime.fromtimestamp(self._ahead + time.monotonic(), UTC)
