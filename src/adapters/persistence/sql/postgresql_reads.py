"""Reads from PostgreSQL, on a few connections that readers share."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from asyncpg import Connection  # type: ignore[import-untyped]

from adapters.persistence.sql import postgresql_statements as statements
from adapters.persistence.sql.postgresql_connections import Connections
from adapters.persistence.sql.postgresql_errors import POSTGRESQL_ERRORS, is_lost, port_error
from adapters.persistence.sql.readers import Engine, Read, lane_prefix
from adapters.persistence.sql.rows import Row

READ_SECONDS = 4.0

T = TypeVar("T")


async def stored_revision(connection: Connection) -> str | None:
    """The revision of the schema, or None for an empty database."""
    known, version = statements.STORED_REVISION
    revision: str | None = await connection.fetchval(version) if await connection.fetchval(known) else None
    return revision


class PostgresqlReads(Engine):
    """Each call is answered within its time, also when the server is not there.

    What runs is not cancelled with its caller: a connection in the middle of something would be lost.
    """

    def __init__(self, connections: Callable[[], Connections]) -> None:
        self._connections = connections

    async def rows(self, read: Read, **named: Any) -> Sequence[Row]:
        query = statements.READS[read]
        if "ids" in named:
            # PostgreSQL stores no NUL: nobody has such an id, and asking would spoil the answer for others.
            named["ids"] = [id_ for id_ in named["ids"] if "\0" not in id_]
        elif any(isinstance(value, str) and "\0" in value for value in named.values()):
            return []
        parameters = query.bind(named)
        return await self.run(lambda connection: connection.fetch(query.text, *parameters))

    async def survey(
        self, group: str, topic: str, subjects: Sequence[str], messages: Sequence[tuple[str, str]]
    ) -> tuple[frozenset[tuple[str, str]], Mapping[str, int], frozenset[str]]:
        query = statements.SURVEY
        parameters = query.bind(
            {
                "group": group,
                "topic": topic,
                "prefix": lane_prefix(group, topic),
                "subjects": subjects,
                "sources": [source for source, _ in messages],
                "ids": [id_ for _, id_ in messages],
            }
        )
        rows = await self.run(lambda connection: connection.fetch(query.text, *parameters))
        return (
            frozenset((source, id_) for what, source, id_, _ in rows if what == "seen"),
            {subject: version for what, subject, _, version in rows if what == "lane"},
            frozenset(subject for what, subject, _, _ in rows if what == "kept"),
        )

    async def forget(self, before: int, limit: int) -> int:
        dropped = 0
        for query in statements.FORGET:
            parameters = query.bind({"before": before, "most": limit - dropped})
            dropped += await self.run(functools.partial(_delete, query.text, parameters))
        await self.run(functools.partial(_delete, statements.FORGET_RECEIPTS, ()))
        return dropped

    async def forget_answers(self, before: int, limit: int) -> int:
        query = statements.FORGET_ANSWERS
        return await self.run(functools.partial(_delete, query.text, query.bind({"before": before, "most": limit})))

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do it on one of the connections; once more when that one turns out to be lost."""
        return await asyncio.shield(asyncio.ensure_future(self._run(work)))

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        until = loop.time() + READ_SECONDS
        for again in (True, False):
            try:
                async with self._connections().lend(until - loop.time()) as connection:
                    return await work(connection)
            except POSTGRESQL_ERRORS as error:
                if not (again and is_lost(error)) or loop.time() >= until:
                    raise port_error(error) from error
        raise AssertionError("unreachable")


async def _delete(text: str, parameters: Sequence[Any], connection: Connection) -> int:
    """How many rows it deleted."""
    status: str = await connection.execute(text, *parameters)
    return int(status.rpartition(" ")[2])
