"""Lookups of the same moment are one query."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from adapters.persistence.sql.rows import Row
from ports.shared_work import begin_shared

AT_ONCE = 2


class Loader:
    """Fetches rows by id: all ids that are asked for in one turn of the event loop go in one query.

    So do those that are asked for while a few queries are under way: the busier it is, the more go together. Rows have
    their id in the first column. Nothing is remembered: each lookup sees what is committed when it is made.
    """

    def __init__(self, fetch: Callable[[list[str]], Awaitable[Sequence[Row]]]) -> None:
        self._fetch = fetch
        # Each caller waits for itself: one that leaves takes nothing away from others who want the same row.
        self._asked: defaultdict[str, list[asyncio.Future[Row | None]]] = defaultdict(list)
        self._fetching: set[asyncio.Task[None]] = set()
        self._beginning = False

    async def __call__(self, id: str) -> Row | None:
        """The row, or None."""
        found: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._asked[id].append(found)
        self._begin()
        return await found

    def _begin(self) -> None:
        if self._beginning or len(self._fetching) >= AT_ONCE:
            return
        self._beginning = True
        task = begin_shared(self._fetch_asked())
        self._fetching.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._fetching.discard(task)
        if self._asked:
            self._begin()

    async def _fetch_asked(self) -> None:
        asked, self._asked = self._asked, defaultdict(list)
        self._beginning = False
        try:
            rows = {row[0]: row for row in await self._fetch(list(asked))}
        except BaseException as error:
            for found in itertools.chain(*asked.values()):
                if not found.done():  # whoever asked may have gone
                    found.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for id_, waiting in asked.items():
            for found in waiting:
                if not found.done():
                    found.set_result(rows.get(id_))
