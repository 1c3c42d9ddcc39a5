"""The machine's own time."""

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
