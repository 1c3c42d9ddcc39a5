"""Connections to PostgreSQL: every wait is bounded, and what is lost is replaced when it is needed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from asyncpg import Connection, connect, exceptions  # type: ignore[import-untyped]

from adapters.persistence.sql.postgresql_errors import POSTGRESQL_ERRORS, is_lost, port_error
from ports.errors import Rejected, Unavailable

CONNECT_SECONDS = 3.0
CLOSE_SECONDS = 1.0
IDLE_SECONDS = 60.0  # after which what a burst needed is given back to the server

SETTINGS: Mapping[str, str] = {
    "application_name": "crossdock",
    # The server's own bounds, for statements whose caller has gone: above ours, which end a call on time.
    "statement_timeout": "10s",
    "lock_timeout": "1200ms",  # longer than it takes to notice a deadlock, short enough to be waited for twice
    "idle_in_transaction_session_timeout": "10s",
    # A client that vanished holds its locks until the server notices.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
    # Each statement is written for an index and planned once: what it costs depends on no statistics, which are wrong
    # for a queue most of the time, and rows are locked in the order in which they were given.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "timezone": "UTC",
}


class Server:
    """Where the database is, and how it is talked to. What the URL itself sets is left as it is."""

    def __init__(self, url: str, settings: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._settings = {**SETTINGS, **(settings or {})}

    async def connect(self, seconds: float = CONNECT_SECONDS) -> Connection:
        """A new connection within ``seconds``."""
        try:
            given = parse_qs(urlsplit(self._url).query)
            return await connect(
                self._url,
                timeout=max(seconds, 0.001),
                statement_cache_size=512,
                max_cached_statement_lifetime=0,  # for ever
                max_cacheable_statement_size=0,  # of any size
                server_settings={name: value for name, value in self._settings.items() if name not in given},
            )
        except POSTGRESQL_ERRORS as error:
            raise port_error(error) from error
        except ValueError as error:  # its words may quote the address
            raise Rejected("the address of the database (DATABASE_URL) cannot be read") from error


class Connections:
    """Some connections of one purpose, lent to one caller at a time; the one that was used last is lent first."""

    def __init__(self, server: Server, most: int, idle_seconds: float = IDLE_SECONDS) -> None:
        self._server = server
        self._most = most
        self._idle_seconds = idle_seconds
        self._room = asyncio.Semaphore(most)
        self._idle: deque[tuple[float, Connection]] = deque()  # since when, the longest first
        self._lent: set[Connection] = set()
        self._wanted = 0
        self._closed = False

    @property
    def use(self) -> tuple[int, int]:
        """How many are lent or waited for, and how many there may be."""
        return self._wanted, self._most

    @asynccontextmanager
    async def lend(self, seconds: float) -> AsyncIterator[Connection]:
        """A connection for ``seconds``, after which it is cut off and whoever waits for its answer hears so.

        Errors of asyncpg pass through; `Unavailable` when there is no connection to be had.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self._wanted += 1
        try:
            await self._enter(seconds)
        except BaseException:
            self._wanted -= 1
            raise
        try:
            connection = await self._take(until)
            self._lent.add(connection)
            cut_off = loop.call_at(until, connection.terminate)
            try:
                yield connection
            except BaseException as error:
                if isinstance(error, AttributeError) and connection.is_closed():
                    # Cut off between two steps of asyncpg, which then asks nothing for an attribute.
                    raise exceptions.ConnectionDoesNotExistError("the connection was cut off in use") from error
                if not isinstance(error, POSTGRESQL_ERRORS):
                    connection.terminate()  # nobody knows what it is in the middle of
                elif is_lost(error):
                    # What happened to one has happened to the others.
                    self._terminate(connection, *(idle for _, idle in self._idle))
                raise
            finally:
                cut_off.cancel()
                self._lent.discard(connection)
                self._give_back(connection)
        finally:
            self._wanted -= 1
            self._room.release()

    async def _enter(self, seconds: float) -> None:
        if self._closed:
            raise Unavailable("the database is closed")
        if not self._room.locked():
            await self._room.acquire()  # without waiting
            return
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError as error:
            raise Unavailable(f"all {self._most} connections to the database are in use", retry_after=1) from error

    async def _take(self, until: float) -> Connection:
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        connection = await self._server.connect(min(until - asyncio.get_running_loop().time(), CONNECT_SECONDS))
        if self._closed:
            connection.terminate()
            raise Unavailable("the database is closed")
        return connection

    def _give_back(self, connection: Connection) -> None:
        if connection.is_closed():
            return
        if self._closed or connection.is_in_transaction():
            connection.terminate()
            return
        now = asyncio.get_running_loop().time()
        while self._idle and self._idle[0][0] < now - self._idle_seconds:
            self._idle.popleft()[1].terminate()  # in no transaction, so it is all the same to the server
        self._idle.append((now, connection))

    @staticmethod
    def _terminate(*connections: Connection) -> None:
        for connection in connections:
            connection.terminate()

    async def close(self) -> None:
        """Close what is idle, and cut off what is not. May be called twice."""
        self._closed = True
        idle, self._idle = self._idle, deque()
        self._terminate(*self._lent)
        await asyncio.gather(*(_close(connection) for _, connection in idle))


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=CLOSE_SECONDS)
    except Exception:
        connection.terminate()
