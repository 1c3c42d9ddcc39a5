"""Which revision of the schema this program works on."""

import sqlite3

from ports.errors import Rejected

# The newest first. A program runs on its own revision or on a newer one: within a release migrations only add.
REVISIONS = ("0001",)


def stored_revision(connection: sqlite3.Connection) -> str | None:
    """The revision of the database, or None for an empty one."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return row[0] if row else None


def check_revision(connection: sqlite3.Connection) -> None:
    """Raise `Rejected` when the schema is older than this program."""
    stored = stored_revision(connection)
    if stored is None or stored in REVISIONS[1:]:
        found = stored or "empty"
        raise Rejected(f"the database schema is {found}, this program needs {REVISIONS[0]}: run `crossdock migrate`")
