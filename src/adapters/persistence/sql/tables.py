"""The schema, for every SQL engine alike.

Instants are whole microseconds since 1970 (UTC), identities and amounts are text, so that one engine stores what
another does. Migrations bring a database here; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite gives a running number only to a column that is exactly INTEGER PRIMARY KEY.
_Position = BigInteger().with_variant(Integer, "sqlite")

# Text is compared and ordered by its bytes, whatever the locale of a database.
_Text = Text().with_variant(Text(collation="C"), "postgresql")

users = Table(
    "users",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("email", _Text, nullable=False, unique=True),
    Column("name", _Text),
    Column("registered_at", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("issuer", _Text),  # and the subject it knows: whose user this is, if anybody's
    Column("subject", _Text),
    Index(
        "ix_users_owner",
        "issuer",
        "subject",
        sqlite_where=text("issuer IS NOT NULL"),
        postgresql_where=text("issuer IS NOT NULL"),
    ),
)

orders = Table(
    "orders",
    metadata,
    Column("id", _Text, primary_key=True),  # UUIDv7: sorts by the time of placing
    Column("user_id", _Text, ForeignKey("users.id"), nullable=False),
    Column("status", _Text, nullable=False),
    Column("currency", _Text, nullable=False),
    Column("lines", _Text, nullable=False),  # JSON: [[sku, quantity, unit price], …]
    Column("total", _Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("confirmed_at", BigInteger),
    Column("version", Integer, nullable=False),
    Index(None, "user_id", "id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("position", _Position, primary_key=True),
    Column("id", _Text, nullable=False, unique=True),
    Column("lane", _Text, nullable=False),
    Column("name", _Text, nullable=False),
    Column("topic", _Text, nullable=False),
    Column("subject", _Text),
    Column("consumer_group", _Text, nullable=False),
    Column("ordering_key", _Text),
    Column("partition", Integer, nullable=False),
    Column("attributes", _Text, nullable=False),  # JSON object
    Column("body", LargeBinary, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("state", _Text, nullable=False),
    Column("token", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("holder", _Text),
    Column("sent_to", _Text),
    Column("sent_at", BigInteger),
    Column("reason", _Text),
    Column("first_failed_at", BigInteger),
    Column("last_failed_at", BigInteger),
    Column("story", _Text, nullable=False),  # JSON: [[at, what, why], …]
    CheckConstraint("lane IN ('event', 'task', 'received')", name="lane"),
    CheckConstraint("state IN ('ready', 'sent', 'blocked', 'dead', 'discarded')", name="state"),
    # Each index holds only rows that wait for what it serves: what is done leaves it, what is dead never clogs it.
    Index(
        "ix_deliveries_ready_events",
        "position",
        sqlite_where=text("lane = 'event' AND state = 'ready'"),
    ),
    Index(
        "ix_deliveries_due",
        "lane",
        "due_at",
        sqlite_where=text("lane <> 'event' AND state = 'ready'"),
    ),
    Index(
        "ix_deliveries_sent",
        "sent_to",
        "sent_at",
        sqlite_where=text("state = 'sent'"),
    ),
    Index(
        "ix_deliveries_handed_over",
        "sent_at",
        sqlite_where=text("lane = 'task' AND state = 'ready' AND holder IS NULL AND sent_at IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_kept",
        "ordering_key",
        "position",
        sqlite_where=text("lane = 'received' AND ordering_key IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_stuck",
        "state",
        "ordering_key",
        sqlite_where=text("state IN ('dead', 'blocked')"),
    ),
    Index(
        "ix_deliveries_discarded",
        "due_at",
        sqlite_where=text("state = 'discarded'"),
    ),
    # A position is never given twice, even when the newest row is gone: pages and orders rest on it.
    sqlite_autoincrement=True,
)

inbox = Table(
    "inbox",
    metadata,
    Column("consumer_group", _Text, primary_key=True),
    Column("source", _Text, primary_key=True),
    Column("message_id", _Text, primary_key=True),
    Column("seen_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

lanes = Table(
    "lanes",
    metadata,
    Column("consumer_group", _Text, primary_key=True),
    Column("topic", _Text, primary_key=True),
    Column("subject", _Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("advanced_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

in_hand = Table(
    "in_hand",
    metadata,
    Column("consumer_group", _Text, primary_key=True),
    Column("topic", _Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("message_ids", _Text, nullable=False),  # JSON: [id, …]
)

leases = Table(
    "leases",
    metadata,
    Column("name", _Text, primary_key=True),
    Column("holder", _Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# What requests that came with a key were answered.
answers = Table(
    "answers",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("fingerprint", _Text, nullable=False),
    Column("status_code", Integer, nullable=False),
    Column("location", _Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("answered_at", BigInteger, nullable=False, index=True),
)

# What only PostgreSQL needs: where a connection can be lost while the other side commits.
postgresql_metadata = MetaData(naming_convention=metadata.naming_convention)

receipts = Table(
    "receipts",
    postgresql_metadata,
    Column("writer", Uuid, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("void", Boolean, nullable=False, server_default=text("false")),
    Column("given_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
)
