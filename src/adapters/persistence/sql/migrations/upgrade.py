"""Brings a database to the newest schema."""

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.persistence.sql.migrations.revision import is_old
from ports.errors import Rejected

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATION_SECONDS = 600.0
_LOCK = 4963102002  # of PostgreSQL, on which a second migration waits


def upgrade_sqlite(path: Path) -> bool:
    """Migrate; whether there was anything to do.

    Safe to run twice at once, and to kill: each run is one exclusive transaction, and the second finds nothing to do.
    """
    # The drivers of both engines are imported where they are used: only one of them is chosen.
    from adapters.persistence.sql.connection import connect, stored_revision  # noqa: PLC0415
    from adapters.persistence.sql.errors import SQLITE_ERRORS  # noqa: PLC0415

    connection = connect(path)
    try:
        stored = stored_revision(connection)
    except SQLITE_ERRORS as error:
        raise Rejected(f"{path} cannot be read: {error}. Restore a backup, or change DATABASE_URL.") from error
    finally:
        connection.close()
    if not is_old(stored):
        return False
    with _alembic(str(path)) as (command, config):
        config.attributes["url"] = f"sqlite:///{path}"
        command.upgrade(config, "head")
    return True


def upgrade_postgresql(url: str) -> bool:
    """Migrate; whether there was anything to do.

    Safe to run twice at once, and to kill: each run is one transaction behind a lock, and the second finds nothing to
    do. Not to be called on an event loop.
    """
    return asyncio.run(_upgrade_postgresql(url))


async def _upgrade_postgresql(url: str) -> bool:
    from adapters.persistence.sql.postgresql_connections import Server  # noqa: PLC0415
    from adapters.persistence.sql.postgresql_errors import translated  # noqa: PLC0415
    from adapters.persistence.sql.postgresql_reads import stored_revision  # noqa: PLC0415

    server = Server(url, {"statement_timeout": "0", "lock_timeout": "0"})
    connection = await server.connect()
    try:
        async with asyncio.timeout(MIGRATION_SECONDS):
            with translated():
                async with connection.transaction():
                    await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
                    stored = await stored_revision(connection)
                    if not is_old(stored):
                        return False
                    await connection.execute(_script(stored))
    finally:
        connection.terminate()
    return True


def _script(stored: str | None, to: str = "head") -> str:
    """What brings PostgreSQL from one revision to another."""
    script = io.StringIO()
    with _alembic("the database") as (command, config):
        config.attributes["script"] = script
        command.upgrade(config, f"{stored}:{to}" if stored else to, sql=True)
    return script.getvalue()


@contextmanager
def _alembic(database: str) -> Iterator[tuple[Any, "Config"]]:
    # Alembic costs a tenth of a second to import, which a start without migrations need not pay.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    try:
        yield command, config
    except (SQLAlchemyError, CommandError) as error:
        why = str(error).partition("\n")[0]
        raise Rejected(f"{database} cannot be migrated, and was left as it is: {why}") from error
