"""Brings a database to the newest schema."""

from pathlib import Path

from adapters.persistence.sql.connection import connect
from adapters.persistence.sql.errors import SQLITE_ERRORS
from adapters.persistence.sql.migrations.revision import REVISIONS, stored_revision
from ports.errors import Rejected


def upgrade_sqlite(path: Path) -> bool:
    """Migrate; whether there was anything to do.

    Safe to run twice at once, and to kill: each run is one exclusive transaction, and the second finds nothing to do.
    """
    connection = connect(path)
    try:
        stored = stored_revision(connection)
    except SQLITE_ERRORS as error:
        raise Rejected(f"{path} cannot be read: {error}. Restore a backup, or change DATABASE_URL.") from error
    finally:
        connection.close()
    if stored is not None and stored not in REVISIONS[1:]:
        return False
    # Alembic costs a tenth of a second to import, which a start without migrations need not pay.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = f"sqlite:///{path}"
    try:
        command.upgrade(config, "head")
    except (SQLAlchemyError, CommandError) as error:
        why = str(error).partition("\n")[0]
        raise Rejected(f"{path} cannot be migrated, and was left as it is: {why}") from error
    return True
