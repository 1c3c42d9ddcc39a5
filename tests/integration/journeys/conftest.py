"""A name of its own for each journey, on brokers that all share, and a database that is migrated once."""

import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from prove.process import ROOT
from tests.integration.journeys.choices import remove_from_kafka, remove_from_rabbitmq
from tests.services import Databases
from tools.services import addresses


@pytest.fixture
async def prefix() -> AsyncIterator[str]:
    """Before each topic, exchange and queue; whatever bears it is removed at the end."""
    own = f"journey-{secrets.token_hex(6)}-"
    yield own
    if addresses.reachable("kafka"):
        await remove_from_kafka(own)
    if addresses.reachable("rabbitmq"):
        await remove_from_rabbitmq(own)


@pytest.fixture(scope="session")
def migrated(databases: Databases) -> Iterator[str]:
    """The name of a database that `crossdock migrate` has made, to be copied."""
    with databases.fresh() as url:
        _migrate(url)
        yield url.rpartition("/")[2]


@pytest.fixture
def migrated_url(databases: Databases, migrated: str) -> Iterator[str]:
    """A database with the newest schema."""
    with databases.fresh(migrated) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for SQLite."""
    file = tmp_path_factory.mktemp("migrated") / "crossdock.db"
    _migrate(f"sqlite:///{file}")
    return file


def _migrate(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", "migrate"],
        env={"PYTHONPATH": str(ROOT / "src"), "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
