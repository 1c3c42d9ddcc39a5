import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from adapters.persistence.sql.connection import connect
from adapters.persistence.sql.errors import SQLITE_ERRORS, port_error
from adapters.persistence.sql.migrations.revision import REVISIONS
from adapters.persistence.sql.migrations.upgrade import _alembic, upgrade_sqlite
from adapters.persistence.sql.sqlite import SqlitePersistence
from adapters.persistence.sql.tables import metadata
from domain.model.email import Email
from ports.deliveries import Lane
from ports.errors import PortError, Precondition, Rejected, Unavailable
from ports.persistence import AddUser, Persistence, Record
from tests.builders import a_task, a_user
from tests.clock import ManualClock
from tests.contracts.persistence import PersistenceContract
from tests.contracts.persistence_outage import PersistenceOutageContract
from tests.contracts.persistence_parts.cases import failing


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty database of the newest schema."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade_sqlite(path)
    return path.read_bytes()


@pytest.fixture
def path(migrated: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "crossdock.db"
    path.write_bytes(migrated)
    return path


async def test_only_the_user_of_the_service_may_read_the_database(tmp_path: Path) -> None:
    """Mail addresses are in it."""
    path = tmp_path / "crossdock.db"
    upgrade_sqlite(path)
    persistence = SqlitePersistence(path, ManualClock())
    await persistence.start()
    await persistence.commit([AddUser(a_user())])

    with os.scandir(tmp_path) as folder:
        modes = {each.name: each.stat().st_mode & 0o777 for each in folder}
    await persistence.stop()

    assert modes == {f"crossdock.db{end}": 0o600 for end in ("", "-wal", "-shm", "-lock")}


class TestSqlitePersistence(PersistenceContract):
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    async def persistence(self, clock: ManualClock, path: Path) -> AsyncIterator[Persistence]:
        persistence = SqlitePersistence(path, clock)
        await persistence.start()
        yield persistence
        await persistence.stop()


class TestSqlitePersistenceOutage(PersistenceOutageContract):
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    async def persistence(self, clock: ManualClock, path: Path) -> AsyncIterator[Persistence]:
        persistence = SqlitePersistence(path, clock)
        await persistence.start()
        yield persistence
        await persistence.stop()

    async def take_away(self, persistence: Persistence) -> None:
        await persistence.stop()

    async def bring_back(self, persistence: Persistence) -> None:
        await persistence.start()


async def test_what_was_committed_is_there_after_opening_again(path: Path) -> None:
    user = a_user()
    first = SqlitePersistence(path, ManualClock())
    await first.start()
    await first.commit([AddUser(user)])
    await first.stop()

    second = SqlitePersistence(path, ManualClock())
    await second.start()

    assert await second.users.get(user.id) == user
    await second.stop()


async def test_each_commit_is_durable_and_readers_stand_beside_the_writer(path: Path) -> None:
    connection = connect(path)

    settings = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")}

    assert settings == {"synchronous": 2, "journal_mode": "wal"}
    connection.close()


async def test_a_database_that_was_never_migrated_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    persistence = SqlitePersistence(path, ManualClock())

    with pytest.raises(Rejected, match=r"schema is empty.*crossdock migrate"):
        await persistence.start()
    await persistence.stop()


async def test_a_database_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    persistence = SqlitePersistence(tmp_path / "elsewhere.db", ManualClock())

    with pytest.raises(Unavailable, match=r"no database at .*elsewhere\.db"):
        await persistence.start()
    await persistence.stop()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - quicker than the loop would notice


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"the folder .*/nowhere for the database does not exist"):
        upgrade_sqlite(tmp_path / "nowhere" / "crossdock.db")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear Ann, this is not a database. " * 100)

    with pytest.raises(PortError, match=r"letter\.db.*not a database"):
        upgrade_sqlite(path)


async def test_a_newer_schema_is_accepted(path: Path) -> None:
    connection = connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    persistence = SqlitePersistence(path, ManualClock())

    await persistence.start()

    await persistence.ping()
    await persistence.stop()


async def test_a_database_that_another_process_holds_is_unavailable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.persistence.sql.connection.BUSY_SECONDS", 0.05)
    persistence = SqlitePersistence(path, ManualClock())
    await persistence.start()
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="another process holds the database"):
        await persistence.commit([AddUser(a_user())])

    other.execute("ROLLBACK")
    await persistence.commit([AddUser(a_user())])
    other.close()
    await persistence.stop()


def test_migrations_build_the_schema_of_the_tables(path: Path) -> None:
    with create_engine(f"sqlite:///{path}").connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []


def test_the_newest_migration_is_the_one_that_the_program_asks_for() -> None:
    scripts = Path("src/adapters/persistence/sql/migrations/versions").glob("[0-9]*.py")

    assert sorted((path.name[:4] for path in scripts), reverse=True) == list(REVISIONS)


def test_two_migrations_at_once_are_one(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from adapters.persistence.sql.migrations.upgrade import upgrade_sqlite; "
        "upgrade_sqlite(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "new.db")]

    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: subprocess.run(command, check=False, capture_output=True), range(4)))

    assert [run.returncode for run in runs] == [0] * 4, runs
    assert not upgrade_sqlite(tmp_path / "new.db")


def _tree(kind: type[BaseException]) -> list[type[BaseException]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _tree(child))]


@pytest.mark.parametrize("kind", [kind for top in SQLITE_ERRORS for kind in _tree(top)])
def test_every_error_of_the_driver_has_its_word(kind: type[Exception]) -> None:
    """Walks what sqlite3 can raise: one without a row in the table fails here and not in production."""
    error = kind.__new__(kind)

    assert isinstance(port_error(error), PortError)


def test_a_full_disk_is_merely_unavailable() -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL

    assert isinstance(port_error(error), Unavailable)


async def test_what_a_dead_process_held_is_free_when_nobody_else_is_left(path: Path) -> None:
    clock = ManualClock()
    task = a_task(holder="dead", due_at=clock.now() + timedelta(seconds=15))
    dead = SqlitePersistence(path, clock)
    await dead.start()
    await dead.commit([Record(task)])
    await dead.leases.take(["relay/0"], holder="dead", seconds=60)
    await dead.stop()  # lets go of its place beside the file, as the operating system does for the dead

    alive = SqlitePersistence(path, clock)
    await alive.start()

    assert await alive.leases.take(["relay/0"], holder="alive", seconds=60) == {"relay/0": 2}
    assert [one.id for one in await alive.ledger.due(Lane.TASK, now=clock.now(), limit=10)] == [task.id]
    await alive.stop()


async def test_what_a_living_process_holds_stays_held(path: Path) -> None:
    clock = ManualClock()
    first, second = SqlitePersistence(path, clock), SqlitePersistence(path, clock)
    await first.start()
    await first.leases.take(["relay/0"], holder="first", seconds=60)

    await second.start()

    assert await second.leases.take(["relay/0"], holder="second", seconds=60) == {}
    await second.stop()
    await first.stop()


async def test_what_a_dead_process_had_in_its_queue_is_due_and_what_waits_for_its_delay_is_not(path: Path) -> None:
    clock = ManualClock()
    now = clock.now()
    queued = a_task(due_at=now).failed("first", now, attempts=1, due_at=now).handed_over(now)
    delayed = a_task(due_at=now).failed("first", now, attempts=5, due_at=now + timedelta(seconds=16))
    dead = SqlitePersistence(path, clock)
    await dead.start()
    await dead.commit([Record(queued), Record(delayed)])
    await dead.stop()

    alive = SqlitePersistence(path, clock)
    await alive.start()

    due = await alive.ledger.due(Lane.TASK, now=now, limit=10, handed_before=now - timedelta(days=1))
    assert [one.id for one in due] == [queued.id]
    await alive.stop()


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
async def test_nothing_is_taken_for_a_file_that_nobody_could_find_again(path: Path, *, replaced: bool) -> None:
    persistence = SqlitePersistence(path, ManualClock())
    await persistence.start()
    if replaced:
        shutil.copy(path, f"{path}.new")
        shutil.move(f"{path}.new", path)
    else:
        os.unlink(path)  # noqa: PTH108 - as somebody else would, at once

    with pytest.raises(Unavailable, match="was deleted or replaced"):
        await persistence.commit([AddUser(a_user())])
    with pytest.raises(Unavailable, match="was deleted or replaced"):
        await persistence.ping()
    await persistence.stop()


def test_a_database_of_another_program_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE users (name TEXT)")
    connection.close()

    with pytest.raises(Rejected, match=r"other\.db cannot be migrated, and was left as it is: .*users already exists"):
        upgrade_sqlite(path)

    connection = sqlite3.connect(path)
    assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master")] == ["users"]
    connection.close()


async def test_a_database_of_the_schema_before_is_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "older.db"
    connect(path).close()
    with _alembic(str(path)) as (command, config):
        config.attributes["url"] = f"sqlite:///{path}"
        command.upgrade(config, "0001")
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO users VALUES ('1', 'ann@example.com', 'Ann', 0, 1)")
    connection.commit()
    connection.close()
    persistence = SqlitePersistence(path, ManualClock())
    with pytest.raises(Rejected, match="schema is 0001"):
        await persistence.start()
    await persistence.stop()

    assert upgrade_sqlite(path)

    await persistence.start()
    failed = await failing(persistence.commit([AddUser(a_user(email=Email("ann@example.com")))]))
    assert failed is Precondition.EMAIL_IS_NEW
    await persistence.stop()
