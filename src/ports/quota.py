"""How often something may be done."""

from abc import ABC, abstractmethod


class Quota(ABC):
    """Grants so many times in so many seconds, never more: not in any window of that length, wherever it begins.

    It counts when it grants, so what is done with a grant should be done at once. It never raises for being out of
    reach and never waits longer than a small bound. May be called by many at once.
    """

    @abstractmethod
    async def take(self) -> float:
        """0 when it is granted and counted; else the seconds until it is worth asking again, and nothing is counted."""

    @property
    def trouble(self) -> str | None:
        """What keeps it from granting all that there is, and what it grants meanwhile; None while nothing does."""
        return None

    @abstractmethod
    async def left(self) -> int:
        """How many would be granted now."""
