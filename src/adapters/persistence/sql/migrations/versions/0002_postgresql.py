"""What several processes on a server need; indexes for what a queue holds, and for what a broker took."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Rows that are changed or removed soon after they were written: their space is for the next, and is made free at once.
QUEUE = (
    "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, "
    "autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05"
)
STORAGE = {
    "deliveries": f"fillfactor = 80, {QUEUE}",
    "inbox": QUEUE,
    "lanes": f"fillfactor = 80, {QUEUE}",
    "in_hand": f"fillfactor = 50, {QUEUE}",
    "leases": f"fillfactor = 50, {QUEUE}",
    "receipts": QUEUE,
    "orders": "fillfactor = 90",  # each is changed once or twice: beside where it stands, without its indexes
}


def upgrade() -> None:
    """Add indexes; on PostgreSQL also receipts, the functions of a commit, and how tables are stored."""
    handed_over = sa.text("lane = 'task' AND state = 'ready' AND holder IS NULL AND sent_at IS NOT NULL")
    op.create_index(
        "ix_deliveries_handed_over",
        "deliveries",
        ["sent_at"],
        unique=False,
        sqlite_where=handed_over,
        postgresql_where=handed_over,
    )
    op.drop_index("ix_deliveries_sent", "deliveries")
    op.create_index(
        "ix_deliveries_sent",
        "deliveries",
        ["sent_to", "sent_at"],
        unique=False,
        sqlite_where=sa.text("state = 'sent'"),
        postgresql_where=sa.text("state = 'sent'"),
    )
    if op.get_context().dialect.name == "postgresql":
        _upgrade_postgresql()


def _upgrade_postgresql() -> None:
    op.create_table(
        "receipts",
        sa.Column("writer", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("void", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("writer", "number", name=op.f("pk_receipts")),
    )
    for function in (REQUIRE, GATE, BLOCK, UNBLOCK):
        op.execute(function)
    for table, how in STORAGE.items():
        op.execute(f"ALTER TABLE {table} SET ({how})")


# A precondition of a commit: without it the whole statement fails, and says which it was.
REQUIRE = """
CREATE FUNCTION crossdock_require(holds boolean, precondition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT holds THEN
        RAISE EXCEPTION USING ERRCODE = 'XD001', MESSAGE = precondition;
    END IF;
END $$
"""

# Who blocks or unblocks is alone while it does, and whoever records beside others sees what they left: the snapshot of
# a statement is older than its locks, one that is taken in here is not. Answers which of the keys have a dead one.
GATE = """
CREATE FUNCTION crossdock_gate(recorded text[], unblocked text[], alone boolean) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    lock_number CONSTANT bigint = 4963102001;
    dead text[];
BEGIN
    IF alone THEN
        PERFORM pg_advisory_xact_lock(lock_number);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(lock_number);
    END IF;
    IF NOT EXISTS (SELECT FROM deliveries WHERE state IN ('dead', 'blocked')) THEN
        RETURN '{}';
    END IF;
    IF NOT alone AND EXISTS (
        SELECT FROM deliveries WHERE state IN ('dead', 'blocked') AND ordering_key = ANY (unblocked)
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'XD002', MESSAGE = 'something is to be unblocked: alone';
    END IF;
    SELECT array_agg(DISTINCT ordering_key) INTO dead FROM deliveries
    WHERE state IN ('dead', 'blocked') AND state = 'dead' AND ordering_key = ANY (recorded);
    RETURN coalesce(dead, '{}');
END $$
"""

# Rare, so events have no index for it: the index of those that are ready is walked.
BLOCK = """
CREATE FUNCTION crossdock_block(keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE deliveries SET state = 'blocked', token = token + 1
    WHERE lane = 'event' AND state = 'ready' AND ordering_key = ANY (keys);
    UPDATE deliveries SET state = 'blocked', token = token + 1
    WHERE lane = 'received' AND ordering_key IS NOT NULL AND state = 'ready' AND ordering_key = ANY (keys);
END $$
"""

UNBLOCK = """
CREATE FUNCTION crossdock_unblock(keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE deliveries SET state = 'ready', token = token + 1
    WHERE state IN ('dead', 'blocked') AND state = 'blocked' AND ordering_key = ANY (keys)
        AND NOT EXISTS (
            SELECT FROM deliveries AS other
            WHERE other.state IN ('dead', 'blocked') AND other.state = 'dead'
                AND other.ordering_key = deliveries.ordering_key
        );
END $$
"""
