"""Run by Alembic: where the database is and what its schema should be."""

from alembic import context
from sqlalchemy import create_engine, pool

from adapters.persistence.sql.tables import metadata


def migrate() -> None:
    """SQLite: on a connection of SQLAlchemy's."""
    # The driver's own transactions do not cover DDL on SQLite; one that we open does, and keeps a second migration
    # waiting.
    engine = create_engine(
        context.config.attributes["url"],
        poolclass=pool.NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"timeout": 60},
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        try:
            context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
            context.run_migrations()
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def write_script() -> None:
    """PostgreSQL: as text, which is run by the driver that this service has."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=metadata,
        transactional_ddl=False,  # whoever runs it opens the transaction
        output_buffer=context.config.attributes["script"],
    )
    context.run_migrations()


if context.is_offline_mode():
    write_script()
else:
    migrate()
