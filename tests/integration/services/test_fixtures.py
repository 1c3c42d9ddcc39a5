"""The fixtures that other tests stand on."""

from email.message import EmailMessage
from uuid import uuid4

import aiosmtplib
import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.services import Databases, MailCatcher, need
from tools.services import addresses


async def _ask(url: str, *statements: str) -> object:
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:", 1), poolclass=NullPool)
    async with engine.begin() as connection:
        results = [await connection.execute(text(statement)) for statement in statements]
        return results[-1].scalar() if results[-1].returns_rows else None


async def test_a_database_is_fresh_and_durable(database_url: str) -> None:
    assert await _ask(database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    assert await _ask(database_url, "SHOW fsync") == "on"
    assert await _ask(database_url, "SHOW synchronous_commit") == "on"


async def test_a_database_is_a_copy_of_its_template(databases: Databases) -> None:
    with databases.fresh() as template:
        await _ask(template, "CREATE TABLE copied AS SELECT 42 AS number")

        with databases.fresh(template.rpartition("/")[2]) as url:
            assert await _ask(url, "SELECT number FROM copied") == 42


async def test_a_database_is_dropped_also_under_a_client(databases: Databases) -> None:
    with databases.fresh() as url:
        engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:", 1))
        connection = await engine.connect()
        await connection.execute(text("SELECT 1"))
    await connection.invalidate()
    await engine.dispose()

    name = url.rpartition("/")[2]
    assert await _ask(addresses.POSTGRESQL, f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == 0


async def test_mail_is_caught(mail_catcher: MailCatcher) -> None:
    to = f"{uuid4().hex}@example.com"
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "crossdock@example.com", to, "Zoë, 漢字"
    mail.set_content("Hello\n")
    assert mail_catcher.mails(to) == []

    await aiosmtplib.send(mail, hostname="127.0.0.1", port=int(mail_catcher.smtp_url.rpartition(":")[2]))

    [arrived] = await mail_catcher.arrived(to, 1)
    assert arrived["Subject"] == "Zoë, 漢字"


def test_what_cannot_be_reached_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "reachable", lambda _: False)

    with pytest.raises(pytest.skip.Exception, match="kafka cannot be reached: `make services`"):
        need("kafka")
