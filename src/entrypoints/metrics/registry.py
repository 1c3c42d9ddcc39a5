"""All metrics of a process, gathered when somebody asks."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from entrypoints.metrics.family import Family

Source = Callable[[], Awaitable[Iterable[Family]]]


class Metrics:
    """What can be asked for metrics. Between two questions nothing is done for it."""

    def __init__(self, *sources: Source) -> None:
        self.sources: list[Source] = list(sources)

    async def families(self) -> list[Family]:
        """All metrics as they stand now, within some seconds."""
        gathered = await asyncio.gather(*(source() for source in self.sources))
        return [family for families in gathered for family in families]
