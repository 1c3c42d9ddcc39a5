"""PostgreSQL: a server that several processes and machines share."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from asyncpg import Connection  # type: ignore[import-untyped]

from adapters.persistence.sql.announcements import Announcements
from adapters.persistence.sql.group_commit import GroupCommit
from adapters.persistence.sql.migrations.revision import check_revision
from adapters.persistence.sql.postgresql_connections import CONNECT_SECONDS, Connections, Server
from adapters.persistence.sql.postgresql_leases import PostgresqlLeases
from adapters.persistence.sql.postgresql_reads import PostgresqlReads, stored_revision
from adapters.persistence.sql.postgresql_statements import NOW
from adapters.persistence.sql.postgresql_writer import PostgresqlWriter
from adapters.persistence.sql.readers import SqlAnswers, SqlLedger, SqlOrders, SqlUsers
from adapters.persistence.sql.rows import from_micros
from ports.clock import Clock
from ports.deliveries import Lane
from ports.errors import PortError, Unavailable
from ports.persistence import Persistence, Traffic, Write
from ports.shared_work import begin_shared
from ports.trouble import Trouble

log = logging.getLogger("crossdock.persistence")

READERS = 8
STOP_SECONDS = 5.0
CLOCK_SECONDS = 10.0
SLOW_SECONDS = 0.5  # an answer that took longer says too little about the time
NOT_AWAITED = {"synchronous_commit": "off"}
# How many units of work one statement takes. A relay's unit is itself a whole batch.
_MOST_UNITS = {Traffic.REQUEST: 128, Traffic.CONSUMER: 512, Traffic.BOOKKEEPING: 512}


class PostgresqlPersistence(Persistence):
    """Keeps everything in a PostgreSQL database.

    Each kind of traffic commits on a connection of its own, reads share some. ``set_time`` is told the server's time at
    the start and now and then: processes that share a database should agree on what is due. Leases use the server's
    clock alone.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        set_time: Callable[[datetime], None] | None = None,
        readers: int = READERS,
    ) -> None:
        self._server = Server(url)
        # What bookkeeping loses in a crash of the server is done again, so it need not wait for the disk.
        self._servers = {**dict.fromkeys(Traffic, self._server), Traffic.BOOKKEEPING: Server(url, NOT_AWAITED)}
        self._clock = clock
        self._set_time = set_time
        self._most_readers = readers
        self._told_at = float("-inf")
        self._telling: asyncio.Task[None] | None = None
        self._readers: Connections | None = None
        self._writers: dict[Traffic, PostgresqlWriter] = {}
        self._queues: dict[Traffic, GroupCommit] = {}
        self._announcements = Announcements(self._server)
        self._reads = PostgresqlReads(self._reading)
        self.users = SqlUsers(self._reads)
        self.orders = SqlOrders(self._reads)
        self.ledger = SqlLedger(self._reads)
        self.leases = PostgresqlLeases(self._reads)
        self.answers = SqlAnswers(self._reads)

    @property
    def pools(self) -> Mapping[str, tuple[int, int]]:
        """How many connections for reading are used or waited for, and how many there may be."""
        return {} if self._readers is None else {"postgresql_read": self._readers.use}

    async def start(self) -> None:
        self._readers = Connections(self._server, self._most_readers)
        self._writers = {traffic: PostgresqlWriter(self._servers[traffic]) for traffic in Traffic}
        try:
            check_revision(await self._reads.run(stored_revision))
            await asyncio.gather(*(writer.open(CONNECT_SECONDS) for writer in self._writers.values()))
            await self._tell_time()
        except BaseException:
            await self._close()
            raise
        self._queues = {
            traffic: GroupCommit(writer.commit, most_units=_MOST_UNITS[traffic])
            for traffic, writer in self._writers.items()
        }
        self._announcements.start()

    async def stop(self) -> None:
        await self._announcements.stop()
        closing = [asyncio.ensure_future(queue.close()) for queue in self._queues.values()]
        if closing:
            await asyncio.wait(closing, timeout=STOP_SECONDS)
        await self._close()

    async def _close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        closing = [writer.close() for writer in self._writers.values()]
        if self._readers is not None:
            closing.append(self._readers.close())
        await asyncio.gather(*closing)

    async def ping(self) -> None:
        await self._reads.run(lambda connection: connection.fetchval("SELECT 1"))

    @property
    def trouble(self) -> Trouble | None:
        """Why what was to be written a moment ago could not be."""
        return next(filter(None, (queue.trouble for queue in self._queues.values())), None)

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        if not self._queues:
            raise Unavailable("the database is closed")
        await self._queues[traffic](writes, seconds)

    def announce(self, lanes: Collection[Lane]) -> None:
        self._announcements.announce(lanes)

    def listen(self, listener: Callable[[Collection[Lane]], None]) -> None:
        self._announcements.listen(listener)

    def _reading(self) -> Connections:
        if self._readers is None:
            raise Unavailable("the database is closed")
        now = self._clock.monotonic()
        if now - self._told_at >= CLOCK_SECONDS and self._queues and self._set_time is not None:
            self._told_at = now
            self._telling = begin_shared(self._tell_time_if_possible())
        return self._readers

    async def _tell_time_if_possible(self) -> None:
        try:
            await self._tell_time()
        except PortError as error:
            log.debug("the time of the database is not known: %s", error)

    async def _tell_time(self) -> None:
        """Let the process know the server's time, as of the middle of the question and its answer."""
        if self._set_time is None:
            return
        self._told_at = self._clock.monotonic()
        loop = asyncio.get_running_loop()

        async def ask(connection: Connection) -> tuple[int, float]:
            asked_at = loop.time()
            micros = await connection.fetchval(f"SELECT {NOW}")
            return micros, loop.time() - asked_at

        micros, seconds = await self._reads.run(ask)
        if seconds <= SLOW_SECONDS:
            self._set_time(from_micros(micros) + timedelta(seconds=seconds / 2))
