"""Whom a user belongs to: an issuer, and the subject that it knows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Text is compared and ordered by its bytes, whatever the locale of a database.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add two columns that may stay empty, and an index of those that do not."""
    op.add_column("users", sa.Column("issuer", TEXT, nullable=True))
    op.add_column("users", sa.Column("subject", TEXT, nullable=True))
    op.create_index(
        "ix_users_owner",
        "users",
        ["issuer", "subject"],
        unique=False,
        sqlite_where=sa.text("issuer IS NOT NULL"),
        postgresql_where=sa.text("issuer IS NOT NULL"),
    )
