"""Brings a database to the newest schema."""

from pathlib import Path

from adapters.persistence.sql.connection import connect
from adapters.persistence.sql.migrations.revision import REVISIONS, stored_revision


def upgrade_sqlite(path: Path) -> bool:
    """Migrate; whether there was anything to do.

    Safe to run twice at once, and to kill: each run is one exclusive transaction, and the second finds nothing to do.
    """
    connection = connect(path)
    try:
        stored = stored_revision(connection)
    finally:
        connection.close()
    if stored is not None and stored not in REVISIONS[1:]:
        return False
    # Alembic costs a tenth of a second to import, which a start without migrations need not pay.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(config, "head")
    return True
