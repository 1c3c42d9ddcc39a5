"""What requests that came with a key were answered."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# Text is compared and ordered by its bytes, whatever the locale of a database.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

# Rows that are removed a day after they were written: their space is for the next, and is made free at once.
QUEUE = (
    "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, "
    "autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05"
)


def upgrade() -> None:
    """Add a table, and an index of how old its rows are."""
    op.create_table(
        "answers",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("fingerprint", TEXT, nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answers")),
    )
    op.create_index(op.f("ix_answers_answered_at"), "answers", ["answered_at"], unique=False)
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE answers SET ({QUEUE})")
