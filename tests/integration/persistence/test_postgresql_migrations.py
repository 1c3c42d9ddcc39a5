import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from asyncpg import connect  # type: ignore[import-untyped]
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.persistence.sql.migrations.revision import REVISIONS
from adapters.persistence.sql.migrations.upgrade import _script, upgrade_postgresql
from adapters.persistence.sql.postgresql import PostgresqlPersistence
from adapters.persistence.sql.tables import metadata, postgresql_metadata
from ports.errors import Rejected, Unavailable
from tests.clock import ManualClock
from tests.services import Databases

UPGRADE = (
    "import sys; from adapters.persistence.sql.migrations.upgrade import upgrade_postgresql; "
    "print(upgrade_postgresql(sys.argv[1]))"
)


@pytest.fixture
def empty(databases: Databases) -> Iterator[str]:
    with databases.fresh() as url:
        yield url


async def do(url: str, statement: str) -> object:
    connection = await connect(url)
    try:
        # One statement may answer; several, as in a script, may not.
        return await (connection.execute if ";" in statement else connection.fetchval)(statement)
    finally:
        await connection.close()


async def test_an_empty_database_is_migrated_once(empty: str) -> None:
    first = await asyncio.to_thread(upgrade_postgresql, empty)
    second = await asyncio.to_thread(upgrade_postgresql, empty)

    assert (first, second) == (True, False)
    assert await do(empty, "SELECT version_num FROM alembic_version") == REVISIONS[0]


async def test_a_database_that_was_never_migrated_is_refused(empty: str) -> None:
    persistence = PostgresqlPersistence(empty, ManualClock())

    with pytest.raises(Rejected, match=r"schema is empty.*crossdock migrate"):
        await persistence.start()
    await persistence.stop()


async def test_an_older_schema_is_refused_and_brought_up_to_date_with_what_it_holds(empty: str) -> None:
    await do(empty, _script(None, "0001"))
    await do(empty, "INSERT INTO users VALUES ('1', 'ann@example.com', 'Ann', 0, 1)")
    persistence = PostgresqlPersistence(empty, ManualClock())

    with pytest.raises(Rejected, match=r"schema is 0001, this program needs .*: run `crossdock migrate`"):
        await persistence.start()
    assert await asyncio.to_thread(upgrade_postgresql, empty)

    await persistence.start()
    assert await do(empty, "SELECT email FROM users") == "ann@example.com"
    await persistence.stop()


async def test_a_migration_that_is_killed_leaves_the_database_as_it_was(empty: str) -> None:
    other = await connect(empty)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("CREATE TABLE users (what TEXT)")  # whoever makes the same waits for what becomes of this
    migrating = await asyncio.create_subprocess_exec(sys.executable, "-c", UPGRADE, empty)
    async with asyncio.timeout(30):
        while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    migrating.kill()
    await migrating.wait()
    await transaction.rollback()
    await other.close()

    assert await asyncio.to_thread(upgrade_postgresql, empty)  # waits for what is left of the other
    assert await do(empty, "SELECT version_num FROM alembic_version") == REVISIONS[0]


async def test_a_newer_schema_is_accepted_and_left_alone(empty: str) -> None:
    await asyncio.to_thread(upgrade_postgresql, empty)
    await do(empty, "UPDATE alembic_version SET version_num = '9999'")
    persistence = PostgresqlPersistence(empty, ManualClock())

    await persistence.start()

    await persistence.ping()
    await persistence.stop()
    assert not await asyncio.to_thread(upgrade_postgresql, empty)
    assert await do(empty, "SELECT version_num FROM alembic_version") == "9999"


def test_migrations_at_once_are_one(empty: str) -> None:
    command = [sys.executable, "-c", UPGRADE, empty]

    with ThreadPoolExecutor(3) as threads:
        runs = list(
            threads.map(lambda _: subprocess.run(command, check=False, capture_output=True, text=True), range(3))
        )

    assert sorted(run.stdout.strip() for run in runs) == ["False", "False", "True"], runs


async def test_a_migration_that_fails_leaves_the_database_as_it_was(empty: str) -> None:
    await do(empty, "CREATE TABLE orders (what TEXT)")  # of another program

    with pytest.raises(Rejected, match="orders"):
        await asyncio.to_thread(upgrade_postgresql, empty)

    tables = await do(empty, "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'")
    assert tables == "orders"


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable) as caught:
        upgrade_postgresql("postgresql://crossdock:hunter2@127.0.0.1:1/crossdock")

    assert "hunter2" not in str(caught.value)


async def test_migrations_build_the_schema_of_the_tables(url: str) -> None:
    def compare(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), [metadata, postgresql_metadata])  # type: ignore[arg-type]

    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:", 1))
    async with engine.connect() as connection:
        differences = await connection.run_sync(compare)
    await engine.dispose()

    assert differences == []


async def test_indexes_hold_the_same_rows_as_on_the_other_engine(url: str) -> None:
    connection = await connect(url)
    rows = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_expr(indpred, indrelid) AS holds FROM pg_index"
        " WHERE indpred IS NOT NULL AND indrelid = 'deliveries'::regclass"
    )
    await connection.close()

    def words(condition: str) -> str:
        in_list = re.sub(r"= ANY \(ARRAY\[(.*?)\]\)", r"IN (\1)", condition.replace("::text", ""))
        return re.sub(r"[()\s]", "", in_list)

    expected = {
        str(index.name): words(str(index.dialect_options["sqlite"]["where"]))
        for index in metadata.tables["deliveries"].indexes
    }
    assert {row["name"]: words(row["holds"]) for row in rows} == expected


async def test_text_is_compared_by_its_bytes_whatever_the_locale(url: str) -> None:
    others = await do(
        url,
        "SELECT string_agg(attrelid::regclass || '.' || attname, ' ') FROM pg_attribute"
        " JOIN pg_class ON pg_class.oid = attrelid AND relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " WHERE atttypid = 'text'::regtype AND attcollation <> '\"C\"'::regcollation",
    )

    assert others is None
