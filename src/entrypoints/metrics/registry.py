"""All metrics of a process, gathered when somebody asks."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from entrypoints.metrics.family import Family

Source = Callable[[], Awaitable[Iterable[Family]]]


class Metrics:
    """What can be asked for metrics. Between two questions nothing is done for it.

    ``of_all`` gathers those of all processes that answer on this one's port; it is this one alone, unless told.
    """

    def __init__(self, *sources: Source) -> None:
        self.sources: list[Source] = list(sources)
        self.of_all: Callable[[], Awaitable[Iterable[Family]]] = self.families

    async def families(self) -> list[Family]:
        """The metrics of this process as they stand now, within some seconds."""
        gathered = await asyncio.gather(*(source() for source in self.sources))
        return [family for families in gathered for family in families]
