"""Connections to a SQLite file."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from adapters.persistence.sql.errors import SQLITE_ERRORS, port_error
from ports.errors import Unavailable

BUSY_SECONDS = 3.0


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with the settings that the promises rest on: durable at every commit, readers beside the writer.

    A file that is not there is made; `Unavailable` or `Rejected` when it cannot be, or is no database.
    """
    if not path.parent.is_dir():
        raise Unavailable(f"the folder {path.parent} for the database does not exist: make it, or change DATABASE_URL")
    # For this user alone; SQLite gives the files beside it the same mode. Only a new file is opened here: closing a
    # handle of one in use would drop the locks on it. What cannot be made, SQLite tells in its words.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            for pragma in (
                "journal_mode = WAL",
                "synchronous = FULL",
                "foreign_keys = ON",
                "cache_size = -32000",  # KiB
                "temp_store = MEMORY",
            ):
                connection.execute(f"PRAGMA {pragma}")
            if read_only:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    except SQLITE_ERRORS as error:
        raise type(port_error(error))(f"{path}: {port_error(error)}") from error
    return connection


def stored_revision(connection: sqlite3.Connection) -> str | None:
    """The revision of the schema, or None for an empty database."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return row[0] if row else None
