"""Databases of one turn each, copied from templates that were filled beforehand."""

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg  # type: ignore[import-untyped]

POLL_SECONDS = 0.05  # the question costs the server something

Result = TypeVar("Result")


class Databases:
    """On one server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)

    @contextmanager
    def fresh(self, template: str | None = None) -> Iterator[str]:
        """The URL of a database that is gone afterwards; a copy of ``template``, or empty."""
        name = f"bench_{os.getpid()}_{next(self._numbers)}"
        execute(self._url, f"CREATE DATABASE {name} TEMPLATE {_name(template) if template else 'template1'}")
        try:
            yield urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))
        finally:
            execute(self._url, f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, *statements: str) -> None:
    """Each in a transaction of its own."""

    async def run(connection: Any) -> None:
        for statement in statements:
            await connection.execute(statement)

    connected(url, run)


def value(url: str, question: str, *given: Any) -> Any:
    """The first column of the first row."""
    return connected(url, lambda connection: connection.fetchval(question, *given))


def column(url: str, question: str, *given: Any) -> list[Any]:
    """The first column of all rows."""
    rows = connected(url, lambda connection: connection.fetch(question, *given))
    return [row[0] for row in rows]


def connected(url: str, use: Callable[[Any], Awaitable[Result]]) -> Result:
    """What ``use`` makes of a connection."""

    async def run() -> Result:
        connection = await asyncpg.connect(url)
        try:
            return await use(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def watched(url: str, question: str, *, until: int, seconds: float) -> list[tuple[float, int]]:
    """Ask for a number again and again until it is reached or time is up; each change with its moment."""

    async def watch(connection: Any) -> list[tuple[float, int]]:
        asked = await connection.prepare(question)
        seen: list[tuple[float, int]] = [(time.perf_counter(), await asked.fetchval())]
        deadline = seen[0][0] + seconds
        while seen[-1][1] < until and time.perf_counter() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            number = await asked.fetchval()
            if number != seen[-1][1]:
                seen.append((time.perf_counter(), number))
        return seen

    return connected(url, watch)


def pace(seen: Sequence[tuple[float, int]]) -> float:
    """How many a second, between the first that was seen done and the last: what starting takes is not in it."""
    done = [(at, number) for at, number in seen if number > 0]
    if len(done) < 2:
        return 0.0
    (first_at, first), (last_at, last) = done[0], done[-1]
    return (last - first) / (last_at - first_at)


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")
