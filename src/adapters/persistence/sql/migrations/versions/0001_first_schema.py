"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Text is compared and ordered by its bytes, whatever the locale of a database.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "deliveries",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=True),
        sa.Column("consumer_group", TEXT, nullable=False),
        sa.Column("ordering_key", TEXT, nullable=True),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("attributes", TEXT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("holder", TEXT, nullable=True),
        sa.Column("sent_to", TEXT, nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("first_failed_at", sa.BigInteger(), nullable=True),
        sa.Column("last_failed_at", sa.BigInteger(), nullable=True),
        sa.Column("story", TEXT, nullable=False),
        sa.CheckConstraint("lane IN ('event', 'task', 'received')", name=op.f("ck_deliveries_lane")),
        sa.CheckConstraint(
            "state IN ('ready', 'sent', 'blocked', 'dead', 'discarded')", name=op.f("ck_deliveries_state")
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("id", name=op.f("uq_deliveries_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_deliveries_discarded",
        "deliveries",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'discarded'"),
        postgresql_where=sa.text("state = 'discarded'"),
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["lane", "due_at"],
        unique=False,
        sqlite_where=sa.text("lane <> 'event' AND state = 'ready'"),
        postgresql_where=sa.text("lane <> 'event' AND state = 'ready'"),
    )
    op.create_index(
        "ix_deliveries_kept",
        "deliveries",
        ["ordering_key", "position"],
        unique=False,
        sqlite_where=sa.text("lane = 'received' AND ordering_key IS NOT NULL"),
        postgresql_where=sa.text("lane = 'received' AND ordering_key IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_ready_events",
        "deliveries",
        ["position"],
        unique=False,
        sqlite_where=sa.text("lane = 'event' AND state = 'ready'"),
        postgresql_where=sa.text("lane = 'event' AND state = 'ready'"),
    )
    op.create_index(
        "ix_deliveries_sent",
        "deliveries",
        ["sent_at"],
        unique=False,
        sqlite_where=sa.text("state = 'sent'"),
        postgresql_where=sa.text("state = 'sent'"),
    )
    op.create_index(
        "ix_deliveries_stuck",
        "deliveries",
        ["state", "ordering_key"],
        unique=False,
        sqlite_where=sa.text("state IN ('dead', 'blocked')"),
        postgresql_where=sa.text("state IN ('dead', 'blocked')"),
    )
    op.create_table(
        "in_hand",
        sa.Column("consumer_group", TEXT, nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("message_ids", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "partition", name=op.f("pk_in_hand")),
    )
    op.create_table(
        "inbox",
        sa.Column("consumer_group", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("message_id", TEXT, nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "source", "message_id", name=op.f("pk_inbox")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_inbox_seen_at"), "inbox", ["seen_at"], unique=False)
    op.create_table(
        "lanes",
        sa.Column("consumer_group", TEXT, nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("advanced_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "subject", name=op.f("pk_lanes")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_lanes_advanced_at"), "lanes", ["advanced_at"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "users",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "orders",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("lines", TEXT, nullable=False),
        sa.Column("total", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_orders_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_user_id_id"), "orders", ["user_id", "id"], unique=False)
