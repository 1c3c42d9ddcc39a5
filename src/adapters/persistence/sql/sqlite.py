"""SQLite: one file, one writer that commits all waiting units of work together, readers beside it."""

import asyncio
import functools
import json
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from adapters.persistence.sql import statements
from adapters.persistence.sql.connection import connect, stored_revision
from adapters.persistence.sql.errors import SQLITE_ERRORS, port_error
from adapters.persistence.sql.group_commit import GroupCommit
from adapters.persistence.sql.migrations.revision import check_revision
from adapters.persistence.sql.presence import Presence
from adapters.persistence.sql.readers import Engine, Read, SqlAnswers, SqlLedger, SqlOrders, SqlUsers, lane_prefix
from adapters.persistence.sql.rows import Row, to_micros
from adapters.persistence.sql.statements import ManyRows
from adapters.persistence.sql.writer import Unit, Writer
from ports.clock import Clock
from ports.errors import PortError, Unavailable
from ports.persistence import Leases, Persistence, Traffic, Write
from ports.shared_work import begin_shared
from ports.trouble import Trouble

STOP_SECONDS = 5.0
READERS = 2
# How many units of work one transaction takes. A relay's unit is itself a whole batch.
_MOST_UNITS = {Traffic.REQUEST: 128, Traffic.CONSUMER: 256, Traffic.BOOKKEEPING: 256}

T = TypeVar("T")
Question = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]


class SqlitePersistence(Persistence):
    """Keeps everything in one SQLite file.

    One thread writes, two read, and the event loop never waits for the disk. The clock of the leases is this machine's,
    since a SQLite file has one machine.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._writing: ThreadPoolExecutor | None = None
        self._reading: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._writer: Writer | None = None
        self._write_connection: sqlite3.Connection | None = None
        self._presence: Presence | None = None
        self._file: tuple[int, int] | None = None  # what the path named when it was opened
        self._questions: list[Question] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._queues: dict[Traffic, GroupCommit] = {}
        engine = _Engine(self)
        self.users = SqlUsers(engine)
        self.orders = SqlOrders(engine)
        self.ledger = SqlLedger(engine)
        self.leases = _Leases(self, engine, clock)
        self.answers = SqlAnswers(engine)

    async def start(self) -> None:
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._local = threading.local()
        self._queues = {
            traffic: GroupCommit(self._commit_group, most_units=most) for traffic, most in _MOST_UNITS.items()
        }
        self._write_connection = await self.in_writer(self._open)
        self._writer = Writer(self._write_connection, lambda: to_micros(self._clock.now()))

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise Unavailable(f"there is no database at {self._path}: run `crossdock migrate`, or change DATABASE_URL")
        connection = connect(self._path)
        check_revision(stored_revision(connection))
        self._file = _identity_of(self._path)
        self._presence = Presence(self._path)
        if self._presence.alone:
            # Nobody is left who could hold anything: what was held need not run out first.
            for statement in (statements.EXPIRE_LEASES, statements.EXPIRE_CLAIMS):
                connection.execute(statement.text, statement.bind())
        return connection

    async def stop(self) -> None:
        for queue in self._queues.values():
            try:
                await asyncio.wait_for(queue.close(), STOP_SECONDS)
            except TimeoutError:
                break
        for connection in (*self._readers, self._write_connection):
            if connection is not None:
                connection.close()
        self._readers, self._write_connection, self._writer = [], None, None
        if self._presence is not None:
            self._presence.end()
        for threads in (self._writing, self._reading):
            if threads is not None:
                threads.shutdown(wait=False)

    async def ping(self) -> None:
        def look(connection: sqlite3.Connection) -> None:
            self._check_file()
            connection.execute("SELECT 1").fetchone()

        await self.in_reader(look)

    def _check_file(self) -> None:
        """What is written to a file that nobody can find again is lost at exit: better not to take it."""
        if _identity_of(self._path) != self._file:
            raise Unavailable(f"the database file {self._path} was deleted or replaced: restart the service")

    @property
    def trouble(self) -> Trouble | None:
        """Why what was to be written a moment ago could not be."""
        return next(filter(None, (queue.trouble for queue in self._queues.values())), None)

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        if not self._queues:
            raise Unavailable("the database is closed")
        await self._queues[traffic](writes, seconds)

    async def _commit_group(self, units: Sequence[Unit], _: Sequence[float]) -> Sequence[Exception | None]:
        if self._writer is None:
            return [Unavailable("the database is closed")] * len(units)
        return await self._run(self._writing, functools.partial(self._write, self._writer, units))

    def _write(self, writer: Writer, units: Sequence[Unit]) -> Sequence[Exception | None]:
        try:
            self._check_file()
        except Unavailable as error:
            return [error] * len(units)
        return writer.commit(units)

    @property
    def write_connection(self) -> sqlite3.Connection:
        """Of the writing thread; `Unavailable` when closed."""
        if self._write_connection is None:
            raise Unavailable("the database is closed")
        return self._write_connection

    async def in_writer(self, work: Callable[[], T]) -> T:
        """Run in the writing thread."""
        return await self._run(self._writing, work)

    async def in_reader(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run in a reading thread, with its connection; what is asked for at the same moment goes there together."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._questions.append((work, answer))
        if len(self._questions) == 1:
            asyncio.get_running_loop().call_soon(self._ask)
        return await answer

    def _ask(self) -> None:
        questions, self._questions = self._questions, []
        task = begin_shared(self._answer(questions))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _answer(self, questions: Sequence[Question]) -> None:
        try:
            answers = await self._run(self._reading, lambda: [_attempt(work, self._reader()) for work, _ in questions])
        except PortError as error:
            answers = [error] * len(questions)
        for (_, answer), outcome in zip(questions, answers, strict=True):
            if answer.done():  # whoever asked has gone
                continue
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

    async def _run(self, threads: ThreadPoolExecutor | None, work: Callable[[], T]) -> T:
        if threads is None:
            raise Unavailable("the database is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work)
        except SQLITE_ERRORS as error:
            raise port_error(error) from error
        except RuntimeError as error:
            raise Unavailable("the database is closed") from error

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            if self._writer is None:
                raise Unavailable("the database is closed")
            connection = self._local.connection = connect(self._path, read_only=True)
            self._readers.append(connection)
        return connection


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _attempt(work: Callable[[sqlite3.Connection], Any], connection: sqlite3.Connection) -> Any:
    """The answer, or the error in the port's words: one question that fails takes no other with it."""
    try:
        return work(connection)
    except SQLITE_ERRORS as error:
        failure = port_error(error)
        failure.__cause__ = error
        return failure


class _Engine(Engine):
    def __init__(self, store: SqlitePersistence) -> None:
        self._store = store

    async def rows(self, read: Read, **named: Any) -> Sequence[Row]:
        if read is Read.DELIVERIES:
            ids = [(id_,) for id_ in named["ids"]]
            return await self._store.in_reader(
                lambda connection: _all_rows(connection, statements.DELIVERIES_BY_ID, ids)
            )
        statement = statements.READS[read]
        lists = {name: json.dumps(value) for name, value in named.items() if isinstance(value, list)}
        parameters = statement.bind(**(named | lists))
        return await self._store.in_reader(lambda connection: connection.execute(statement.text, parameters).fetchall())

    async def survey(
        self, group: str, topic: str, subjects: Sequence[str], messages: Sequence[tuple[str, str]]
    ) -> tuple[frozenset[tuple[str, str]], Mapping[str, int], frozenset[str]]:
        return await self._store.in_reader(functools.partial(_survey, group, topic, subjects, messages))

    async def forget(self, before: int, limit: int) -> int:
        def work() -> int:
            connection = self._store.write_connection
            return sum(
                connection.execute(statement.text, statement.bind(before=before, most=limit)).rowcount
                for statement in statements.FORGET
            )

        return await self._store.in_writer(work)

    async def forget_answers(self, before: int, limit: int) -> int:
        statement = statements.FORGET_ANSWERS
        parameters = statement.bind(before=before, most=limit)
        return await self._store.in_writer(
            lambda: self._store.write_connection.execute(statement.text, parameters).rowcount
        )


def _survey(
    group: str,
    topic: str,
    subjects: Sequence[str],
    messages: Sequence[tuple[str, str]],
    connection: sqlite3.Connection,
) -> tuple[frozenset[tuple[str, str]], Mapping[str, int], frozenset[str]]:
    prefix = lane_prefix(group, topic)
    # One transaction, so that what is seen and where its lane stands are of the same moment.
    connection.execute("BEGIN")
    try:
        seen = _all_rows(connection, statements.SEEN, [(group, *message) for message in messages])
        versions = _all_rows(connection, statements.LANES, [(group, topic, subject) for subject in subjects])
        kept = _all_rows(connection, statements.OCCUPIED, [(prefix + subject,) for subject in subjects])
    finally:
        connection.execute("COMMIT")
    return frozenset(seen), dict(versions), frozenset(subject for (subject,) in kept)


def _all_rows(connection: sqlite3.Connection, statement: ManyRows, many: Sequence[Row]) -> list[Row]:
    return [
        row for text, parameters in statement.chunks(many) for row in connection.execute(text, parameters).fetchall()
    ]


class _Leases(Leases):
    def __init__(self, store: SqlitePersistence, engine: Engine, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock

    async def take(self, names: Sequence[str], *, holder: str, seconds: float) -> Mapping[str, int]:
        return await self._store.in_writer(functools.partial(self._take, list(names), holder, seconds))

    def _take(self, names: list[str], holder: str, seconds: float) -> Mapping[str, int]:
        now = to_micros(self._clock.now())
        connection = self._store.write_connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            lease = statements.LEASE
            known = {row[0]: row for row in connection.execute(lease.text, lease.bind(names=json.dumps(names)))}
            held: dict[str, int] = {}
            for name in names:
                _, owner, fence, expires_at = known.get(name, (name, holder, 0, 0))
                if owner == holder and name in known:
                    held[name] = fence
                elif expires_at <= now:
                    held[name] = fence + 1
            drop = statements.DROP_LEASES
            connection.execute(drop.text, drop.bind(names=json.dumps(list(held))))
            until = now + round(seconds * 1_000_000)
            for text, parameters in statements.ADD_LEASES.chunks(
                [(name, holder, fence, until) for name, fence in held.items()]
            ):
                connection.execute(text, parameters)
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        return held

    async def release(self, names: Sequence[str], *, holder: str) -> None:
        statement = statements.RELEASE_LEASES
        parameters = statement.bind(names=json.dumps(list(names)), who=holder)
        await self._store.in_writer(lambda: self._store.write_connection.execute(statement.text, parameters))

    async def holders(self, prefix: str) -> Sequence[str]:
        rows = await self._engine.rows(
            Read.LEASE_HOLDERS, low=prefix, high=prefix + "\U0010ffff", now=to_micros(self._clock.now())
        )
        return [holder for (holder,) in rows]
