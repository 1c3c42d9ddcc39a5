import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from asyncpg import Connection, connect  # type: ignore[import-untyped]

from adapters.persistence.sql.migrations.upgrade import upgrade_postgresql
from adapters.persistence.sql.postgresql import PostgresqlPersistence
from tests.clock import ManualClock
from tests.services import Databases, private
from tools.services.postgresql import PostgreSQL

TABLES = ("deliveries", "inbox", "lanes", "in_hand", "leases", "orders", "users", "receipts", "answers")


@pytest.fixture(scope="session")
def migrated(databases: Databases) -> Iterator[str]:
    """A database of the newest schema, for all tests of this worker."""
    with databases.fresh() as url:
        upgrade_postgresql(url)
        yield url


@pytest.fixture
async def url(migrated: str) -> str:
    """The same, with nothing in it."""
    await emptied(migrated)
    return migrated


@pytest.fixture
async def sql(url: str) -> AsyncIterator[Connection]:
    """A connection of nobody's."""
    connection = await connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Callable[[], Awaitable[PostgresqlPersistence]]]:
    """Opens persistences on one database, each as a process of its own would."""
    stores: list[PostgresqlPersistence] = []

    async def make() -> PostgresqlPersistence:
        stores.append(PostgresqlPersistence(url, ManualClock()))
        await stores[-1].start()
        return stores[-1]

    yield make
    await asyncio.gather(*(store.stop() for store in stores))


@pytest.fixture(scope="session")
def private_server() -> Iterator[PostgreSQL]:
    """A server that tests may kill, with a database of the newest schema."""
    with private(PostgreSQL) as server:
        upgrade_postgresql(server.address)
        yield server


@pytest.fixture
async def server(private_server: PostgreSQL) -> PostgreSQL:
    """The same, running and empty."""
    await asyncio.to_thread(private_server.thaw)
    await asyncio.to_thread(private_server.start)
    await emptied(private_server.address)
    return private_server


async def emptied(url: str) -> None:
    connection = await connect(url)
    await connection.execute("; ".join(f"DELETE FROM {table}" for table in TABLES))
    await connection.close()
