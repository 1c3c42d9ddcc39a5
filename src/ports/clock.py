"""Time."""

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime


class Clock(ABC):
    """Tells the time and waits.

    Everything that waits does so here, so that a test can hold time in its hand. Waits are on the monotonic scale: a
    wall clock that jumps makes nobody early or late.
    """

    @abstractmethod
    def now(self) -> datetime:
        """The wall clock, UTC, microseconds."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Return when ``event`` is set (true) or after ``seconds`` (false)."""
        if event.is_set():
            return True
        waiting = asyncio.ensure_future(event.wait())
        sleeping = asyncio.ensure_future(self.sleep(seconds))
        try:
            await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            return event.is_set()
        finally:
            waiting.cancel()
            sleeping.cancel()
