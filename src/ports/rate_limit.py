"""How often each caller may ask."""

from abc import ABC, abstractmethod
from typing import NamedTuple


class Standing(NamedTuple):
    """Where a caller stands after it has asked."""

    wait: float
    """0 when it may; else the seconds until it is worth asking again, and nothing was counted."""

    left: int
    """How many more it may ask now."""

    more: float
    """Seconds until the oldest of what it asked counts no more; 0 when nothing counts."""


class RateLimit(ABC):
    """Lets each caller ask ``count`` times in ``seconds``, never more: not in any window of that length.

    Whatever it shares with other processes may be away: it then knows what it has granted by itself. It remembers a
    bounded number of callers, those that asked last. It never raises for being out of reach and never waits longer than
    a small bound. May be called by many at once.
    """

    count: int
    seconds: int

    @abstractmethod
    async def take(self, caller: str) -> Standing:
        """Count one for this caller, if there is room."""
