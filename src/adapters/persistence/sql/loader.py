"""Lookups of the same moment are one query."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from adapters.persistence.sql.rows import Row


class Loader:
    """Fetches rows by id: all ids that are asked for in one turn of the event loop go in one query.

    Rows have their id in the first column. Nothing is remembered: each lookup sees what is committed when it is made.
    """

    def __init__(self, fetch: Callable[[list[str]], Awaitable[Sequence[Row]]]) -> None:
        self._fetch = fetch
        self._asked: dict[str, asyncio.Future[Row | None]] = {}
        self._fetching: set[asyncio.Task[None]] = set()

    async def __call__(self, id: str) -> Row | None:
        """The row, or None."""
        found = self._asked.get(id)
        if found is None:
            found = self._asked[id] = asyncio.get_running_loop().create_future()
            if len(self._asked) == 1:
                task = asyncio.get_running_loop().create_task(self._fetch_asked())
                self._fetching.add(task)
                task.add_done_callback(self._fetching.discard)
        return await asyncio.shield(found)  # others may wait for the same row: one that leaves takes nothing away

    async def _fetch_asked(self) -> None:
        asked, self._asked = self._asked, {}
        try:
            rows = {row[0]: row for row in await self._fetch(list(asked))}
        except BaseException as error:
            for found in asked.values():
                found.set_exception(error)
                found.exception()  # whoever asked may have gone; then nobody is left to be told
            if not isinstance(error, Exception):
                raise
            return
        for id_, found in asked.items():
            found.set_result(rows.get(id_))
