import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest
from asyncpg import Connection, connect, exceptions  # type: ignore[import-untyped]

from adapters.persistence.sql.postgresql import PostgresqlPersistence
from adapters.persistence.sql.postgresql_errors import POSTGRESQL_ERRORS, STATES, port_error
from ports.errors import PortError, Rejected, Unavailable
from ports.persistence import AddUser, Persistence, Record
from tests.builders import NOON, a_task, a_user
from tests.clock import ManualClock
from tests.contracts.persistence import PersistenceContract
from tests.contracts.persistence_outage import PersistenceOutageContract
from tests.contracts.persistence_parts.cases import PersistenceCases, recorded
from tools.services.postgresql import PostgreSQL


class _PostgresqlCases(PersistenceCases):
    keeps_nul = False
    address: str

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    async def let_pass(self, clock: ManualClock, seconds: float) -> None:
        """The server's own time cannot be moved: what is compared with it is."""
        await clock.advance(seconds)
        connection = await connect(self.address)
        await connection.execute("UPDATE leases SET expires_at = expires_at - $1::bigint", round(seconds * 1_000_000))
        await connection.close()


class TestPostgresqlPersistence(_PostgresqlCases, PersistenceContract):
    @pytest.fixture
    async def persistence(self, clock: ManualClock, url: str) -> AsyncIterator[Persistence]:
        self.address = url
        persistence = PostgresqlPersistence(url, clock)
        await persistence.start()
        yield persistence
        await persistence.stop()


class TestPostgresqlPersistenceOutage(_PostgresqlCases, PersistenceOutageContract):
    @pytest.fixture
    async def persistence(self, clock: ManualClock, server: PostgreSQL) -> AsyncIterator[Persistence]:
        self.server = server
        persistence = PostgresqlPersistence(server.address, clock)
        await persistence.start()
        yield persistence
        await persistence.stop()

    async def take_away(self, persistence: Persistence) -> None:  # noqa: ARG002 - the server is known
        await asyncio.to_thread(self.server.kill)

    async def bring_back(self, persistence: Persistence) -> None:  # noqa: ARG002 - the server is known
        await asyncio.to_thread(self.server.start)

    async def a_moment(self) -> None:
        await asyncio.sleep(0.05)


async def test_a_server_that_nobody_runs_is_unavailable_at_once() -> None:
    persistence = PostgresqlPersistence("postgresql://crossdock:hunter2@127.0.0.1:1/crossdock", ManualClock())

    with pytest.raises(Unavailable) as caught:
        await persistence.start()

    assert "hunter2" not in repr(caught.value)
    await persistence.stop()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda url: url.replace("crossdock@", "hunter2@"),  # the password
        lambda url: url.rpartition("/")[0] + "/nothing",  # the database
        lambda url: url + "?sslmode=sometimes",
        lambda url: url + "?sslmode=verify-full&sslrootcert=/nowhere/ca.pem",
        lambda url: url.replace(":crossdock@", ":hunter2@[") + "?",
    ],
    ids=["password", "database", "sslmode", "certificate", "address"],
)
async def test_what_is_wrong_with_the_address_is_told_without_the_password(
    url: str, wrong: Callable[[str], str]
) -> None:
    persistence = PostgresqlPersistence(wrong(url), ManualClock())

    with pytest.raises((Unavailable, Rejected)) as caught:
        await persistence.start()

    assert "hunter2" not in str(caught.value)
    assert ":crossdock@" not in str(caught.value)
    await persistence.stop()


async def test_the_clock_is_told_the_time_of_the_server(url: str, sql: Connection) -> None:
    told: list[datetime] = []
    clock = ManualClock()
    persistence = PostgresqlPersistence(url, clock, set_time=told.append)

    await persistence.start()
    (now,) = told
    assert abs(now - await sql.fetchval("SELECT clock_timestamp()")) < timedelta(seconds=5)

    await persistence.ping()
    assert len(told) == 1  # known well enough
    await clock.advance(10)
    await persistence.ping()
    async with asyncio.timeout(5):
        while len(told) < 2:  # noqa: ASYNC110 - a server has to answer
            await asyncio.sleep(0.01)
    assert told[1] > now
    await persistence.stop()


async def test_receipts_are_tidied_up(url: str, sql: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.persistence.sql.postgresql_writer.TIDY_EVERY", 5)
    persistence = PostgresqlPersistence(url, ManualClock())
    await persistence.start()

    for _ in range(8):
        await persistence.commit([AddUser(a_user())])
    assert await sql.fetchval("SELECT count(*) FROM receipts") == 8  # what was lost may still be at work
    await sql.execute("UPDATE receipts SET given_at = given_at - interval '2 minutes'")
    for _ in range(2):
        await persistence.commit([AddUser(a_user())])

    assert await sql.fetchval("SELECT count(*) FROM receipts") == 2
    await sql.execute("UPDATE receipts SET given_at = given_at - interval '2 hours'")
    await persistence.ledger.forget(before=NOON, limit=1)
    assert await sql.fetchval("SELECT count(*) FROM receipts") == 0
    await persistence.stop()


async def test_many_lookups_of_the_same_moment_are_few_queries(url: str, sql: Connection) -> None:
    persistence = PostgresqlPersistence(url, ManualClock())
    await persistence.start()
    rows = await recorded(persistence, *(a_task() for _ in range(200)))

    found = await asyncio.gather(*(persistence.ledger.get(row.id) for row in rows))

    assert found == rows
    assert await sql.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") <= 5
    await persistence.stop()


DRIVERS = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", DRIVERS, ids=lambda kind: str(kind.__name__))
def test_every_error_of_the_driver_has_its_word(kind: type[Exception]) -> None:
    """Walks what asyncpg can raise: one without a row in the table fails here and not in production."""
    if issubclass(kind, Warning):
        return  # these are logged
    error = kind("words")

    assert isinstance(error, POSTGRESQL_ERRORS)
    assert isinstance(port_error(error), PortError)
    code = getattr(kind, "sqlstate", None)
    assert code is None or code[:2] in STATES


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (exceptions.DeadlockDetectedError(), Unavailable),
        (exceptions.TooManyConnectionsError(), Unavailable),
        (exceptions.CannotConnectNowError(), Unavailable),
        (exceptions.AdminShutdownError(), Unavailable),
        (exceptions.QueryCanceledError(), Unavailable),
        (exceptions.DiskFullError(), Unavailable),
        (exceptions.ReadOnlySQLTransactionError(), Unavailable),
        (exceptions.LockNotAvailableError(), Unavailable),
        (exceptions.ConnectionDoesNotExistError(), Unavailable),
        (exceptions.InterfaceError("connection is closed"), Unavailable),
        (ConnectionResetError(), Unavailable),
        (TimeoutError(), Unavailable),
        (exceptions.CharacterNotInRepertoireError(), Rejected),
        (exceptions.NotNullViolationError(), Rejected),
        (exceptions.UndefinedTableError(), Rejected),
        (exceptions.DataError("invalid input"), Rejected),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_may_pass_by_itself_is_merely_unavailable(error: Exception, word: type[PortError]) -> None:
    assert type(port_error(error)) is word


def test_an_error_says_nothing_of_what_was_written() -> None:
    error = exceptions.UniqueViolationError("duplicate key value")
    error.detail = "Key (email)=(ann@example.com) already exists."

    assert "ann@example.com" not in str(port_error(error))


async def test_what_the_driver_cannot_encode_fails_alone_and_is_not_quoted(url: str) -> None:
    persistence = PostgresqlPersistence(url, ManualClock())
    await persistence.start()
    innocent = [a_task() for _ in range(20)]
    guilty = a_task(reason="secret \ud800")

    outcomes = await asyncio.gather(
        *(persistence.commit([Record(task)]) for task in (*innocent, guilty)), return_exceptions=True
    )

    assert outcomes[:-1] == [None] * 20
    assert isinstance(outcomes[-1], Rejected)
    assert "secret" not in str(outcomes[-1])
    await persistence.stop()


def test_each_engine_is_imported_without_the_other() -> None:
    code = "import sys; import adapters.persistence.sql.{}; print({!r} in sys.modules)"
    for engine, other in (("sqlite", "asyncpg"), ("postgresql", "sqlite3"), ("postgresql", "sqlalchemy")):
        run = subprocess.run(
            [sys.executable, "-c", code.format(engine, other)], check=True, capture_output=True, text=True
        )
        assert run.stdout.strip() == "False", (engine, other)
