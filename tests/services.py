"""The standing servers for tests (`tools.services`), and databases of their own on one of them.

A plugin: `tests/conftest.py` names it. What a test asks for and cannot be reached is skipped with its reason, and fails
with CI=true.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from tools.services import addresses
from tools.services.failures import NotInstalled
from tools.services.server import Server

Result = TypeVar("Result")
Kind = TypeVar("Kind", bound=Server)


def need(name: str) -> None:
    """Go on when a standing server can be reached."""
    if not addresses.reachable(name):
        pytest.skip(f"{name} cannot be reached: `make services` starts it")  # with CI=true tests/conftest.py fails it


@contextmanager
def private(kind: type[Kind]) -> Iterator[Kind]:
    """A server that a test may kill, freeze and start again; nothing is left of it."""
    try:
        with kind.private() as server:
            yield server
    except NotInstalled as lacking:
        pytest.skip(f"{kind.name} is {lacking}")


class Databases:
    """Makes databases on a PostgreSQL, each for one test or one process."""

    def __init__(self, address: str) -> None:
        self._address = address

    def url(self, name: str) -> str:
        """Where a database of this name is."""
        return urlunsplit(urlsplit(self._address)._replace(path=f"/{name}"))

    @contextmanager
    def fresh(self, template: str = "template1") -> Iterator[str]:
        """The URL of a new database, a copy of another; it is dropped at the end, whoever is still connected.

        Nobody may be connected to the template meanwhile.
        """
        name = f"test_{secrets.token_hex(6)}"
        self._do(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self.url(name)
        finally:
            self._do(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _do(self, statement: str) -> None:
        async def do() -> None:
            engine = create_async_engine(
                self._address.replace("postgresql:", "postgresql+asyncpg:", 1),
                isolation_level="AUTOCOMMIT",  # databases are not made in transactions
                poolclass=NullPool,
                connect_args={"timeout": 30, "command_timeout": 60},
            )
            async with engine.connect() as connection:
                await connection.execute(text(statement))

        _away_from_any_loop(do)


def _away_from_any_loop(do: Callable[[], Awaitable[Result]]) -> Result:
    """In a thread of its own, because the one of a test may have a loop that must not be disturbed."""

    async def wrapped() -> Result:
        return await do()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, wrapped()).result()


class MailCatcher:
    """Takes mail for everybody. Tests share it, so each needs recipients of its own."""

    def __init__(self, smtp_url: str, mailbox: str) -> None:
        self.smtp_url = smtp_url
        self._mailbox = mailbox

    def mails(self, to: str) -> list[EmailMessage]:
        """What has arrived for one recipient, oldest first."""
        answer = httpx.get(f"{self._mailbox}/api/user/{quote(to)}/messages/", timeout=10)
        if answer.status_code == httpx.codes.BAD_REQUEST:  # nobody has written to them yet
            return []
        answer.raise_for_status()
        parser = BytesParser(policy=policy.default)
        return [parser.parsebytes(mail["mimeMessage"].encode()) for mail in answer.json()]

    async def arrived(self, to: str, count: int, seconds: float = 10) -> list[EmailMessage]:
        """The same, once there are so many."""
        async with asyncio.timeout(seconds):
            while len(mails := await asyncio.to_thread(self.mails, to)) < count:  # noqa: ASYNC110 it is another process
                await asyncio.sleep(0.02)
        return mails


@pytest.fixture(scope="session")
def databases() -> Databases:
    """Databases on the standing PostgreSQL."""
    need("postgresql")
    return Databases(addresses.POSTGRESQL)


@pytest.fixture(scope="session")
def postgresql_url(databases: Databases) -> Iterator[str]:
    """A database for all tests of this worker, empty at its start."""
    with databases.fresh() as url:
        yield url


@pytest.fixture(scope="session")
def database_template() -> str:
    """What `database_url` is a copy of; a folder of tests may have a fixture of this name with its tables in it."""
    return "template1"


@pytest.fixture
def database_url(databases: Databases, database_template: str) -> Iterator[str]:
    """A database for one test."""
    with databases.fresh(database_template) as url:
        yield url


@pytest.fixture(scope="session")
def kafka_servers() -> str:
    need("kafka")
    return addresses.KAFKA


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    need("rabbitmq")
    return addresses.RABBITMQ


@pytest.fixture(scope="session")
def redis_url() -> str:
    need("redis")
    return addresses.REDIS


@pytest.fixture(scope="session")
def memcached_servers() -> str:
    need("memcached")
    return addresses.MEMCACHED


@pytest.fixture(scope="session")
def mail_catcher() -> MailCatcher:
    need("greenmail")
    return MailCatcher(addresses.SMTP, addresses.MAILBOX)
