"""Which revision of the schema this program works on."""

from ports.errors import Rejected

# The newest first. A program runs on its own revision or on a newer one: within a release migrations only add.
REVISIONS = ("0004", "0003", "0002", "0001")


def is_old(stored: str | None) -> bool:
    """Whether a database of this revision, or an empty one, is to be migrated before this program can run on it."""
    return stored is None or stored in REVISIONS[1:]


def check_revision(stored: str | None) -> None:
    """Raise `Rejected` when the schema is older than this program."""
    if is_old(stored):
        found = stored or "empty"
        raise Rejected(f"the database schema is {found}, this program needs {REVISIONS[0]}: run `crossdock migrate`")
