"""What a group of units of work writes, as parts of one statement.

Parts stand in the one order in which tables are written. Each is given its rows as arrays, a column each, so that the
text depends only on which parts there are.
"""

# ruff: noqa: S608 - the texts are made of names that stand in our own code
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from adapters.persistence.sql.postgresql_statements import NOW
from adapters.persistence.sql.rows import (
    ANSWER_COLUMNS,
    CHANGING_COLUMNS,
    DELIVERY_COLUMNS,
    FRESH_COLUMNS,
    FRESH_VALUES,
    ORDER_COLUMNS,
    USER_COLUMNS,
)
from ports.errors import Precondition

_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("version", "token", "expected", "attempts", "partition", "fence", "status_code"), "integer"),
    **dict.fromkeys(("registered_at", "created_at", "confirmed_at", "recorded_at", "due_at", "sent_at"), "bigint"),
    **dict.fromkeys(("first_failed_at", "last_failed_at", "seen_at", "advanced_at", "answered_at"), "bigint"),
    "body": "bytea",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows to write, and what must hold when they have been."""

    name: str
    columns: Sequence[str]
    text: str  # with {given}: the rows as a table
    every: Precondition | None = None  # holds when every row was met
    ordered: bool = True  # by the first column, so that rows are locked in one order


def _inserting(table: str, name: str, columns: Sequence[str], values: str = "", *, ordered: bool = True) -> Part:
    names = ", ".join(columns)
    text = f"INSERT INTO {table} ({names}) SELECT {values or names} FROM {{given}} RETURNING 1"
    return Part(name, columns, text, ordered=ordered)


def _setting(columns: Sequence[str]) -> str:
    return ", ".join(f"{column} = given.{column}" for column in columns)


def _is(column: str) -> str:
    """That a column has the value that is given, said so that the engine can only look up what is given in the table.

    With a plain ``=`` it does the reverse while it takes the table for empty, which a queue often was when somebody
    last counted: it goes through the whole table, and for each row through all that is given.
    """
    return f"{column} = ANY (ARRAY[given.{column.rpartition('.')[2]}])"


def _fresh_value(column: str) -> str:
    if column == "state":
        return "CASE WHEN ordering_key = ANY ((SELECT dead FROM gate)::text[]) THEN 'blocked' ELSE 'ready' END"
    value = FRESH_VALUES[column]
    return "NULL" if value is None else repr(value)


HELD = Part(
    "held",
    ("name", "holder", "fence"),
    # Whoever takes the lease over waits until this is committed.
    f"""
    SELECT 1 FROM {{given}} JOIN leases ON leases.name = given.name
        AND leases.holder = given.holder AND leases.fence = given.fence AND leases.expires_at > {NOW}
    FOR SHARE OF leases
    """,
    Precondition.LEASE_IS_HELD,
)
# Before what it may refuse, so that a request that comes again finds its answer.
KEPT = _inserting("answers", "kept_answers", ANSWER_COLUMNS)
USERS = _inserting("users", "new_users", USER_COLUMNS)
ORDERS = _inserting("orders", "new_orders", ORDER_COLUMNS)
SAVED = Part(
    "saved",
    ("id", "status", "confirmed_at", "version"),
    f"""
    UPDATE orders SET {_setting(("status", "confirmed_at", "version"))} FROM {{given}}
    WHERE {_is("orders.id")} AND orders.version = given.version - 1 RETURNING 1
    """,
    Precondition.VERSION_IS_CURRENT,
)
REMEMBERED = _inserting("inbox", "remembered", ("message_id", "source", "consumer_group", "seen_at"))
FIRST_ADVANCED = _inserting("lanes", "first_advanced", ("subject", "topic", "consumer_group", "version", "advanced_at"))
ADVANCED = Part(
    "advanced",
    ("subject", "topic", "consumer_group", "version", "advanced_at"),
    f"""
    UPDATE lanes SET {_setting(("version", "advanced_at"))} FROM {{given}}
    WHERE {_is("lanes.consumer_group")} AND lanes.topic = given.topic
        AND lanes.subject = given.subject AND lanes.version = given.version - 1 RETURNING 1
    """,
    Precondition.LANE_IS_CURRENT,
)
_waits = "ordering_key = ANY ((SELECT dead FROM gate)::text[])"
_state = f"CASE WHEN state = 'ready' AND {_waits} THEN 'blocked' ELSE state END"
# Positions follow the order of the units, hence no order of their own.
RECORDED = _inserting(
    "deliveries",
    "recorded",
    DELIVERY_COLUMNS,
    ", ".join(_state if column == "state" else column for column in DELIVERY_COLUMNS),
    ordered=False,
)
# The same, when nobody has worked on any of them yet: less to send.
RECORDED_FRESH = Part(
    "recorded_fresh",
    FRESH_COLUMNS,
    f"""
    INSERT INTO deliveries ({", ".join(FRESH_COLUMNS)}, {", ".join(FRESH_VALUES)})
    SELECT {", ".join(FRESH_COLUMNS)}, {", ".join(map(_fresh_value, FRESH_VALUES))} FROM {{given}} RETURNING 1
    """,
    ordered=False,
)
REPLACED = Part(
    "replaced",
    ("id", "expected", *CHANGING_COLUMNS),
    f"""
    UPDATE deliveries SET {_setting(CHANGING_COLUMNS)} FROM {{given}}
    WHERE {_is("deliveries.id")} AND deliveries.token = given.expected RETURNING 1
    """,
    Precondition.TOKEN_IS_CURRENT,
)
MARKED_SENT = Part(
    "marked_sent",
    ("id", "sent_to", "sent_at"),
    f"""
    UPDATE deliveries SET state = 'sent', sent_to = given.sent_to, sent_at = given.sent_at, token = token + 1
    FROM {{given}} WHERE {_is("deliveries.id")} RETURNING 1
    """,
)
REMOVED = Part(
    "removed",
    ("id", "token"),
    f"""
    DELETE FROM deliveries USING {{given}}
    WHERE {_is("deliveries.id")} AND deliveries.token = given.token RETURNING 1
    """,
    Precondition.TOKEN_IS_CURRENT,
)
REMOVED_IF_THERE = Part(
    "removed_if_there", ("id",), f"DELETE FROM deliveries USING {{given}} WHERE {_is('deliveries.id')} RETURNING 1"
)
IN_HAND = Part(
    "taken_in_hand",
    ("topic", "partition", "consumer_group", "message_ids"),
    """
    INSERT INTO in_hand (topic, partition, consumer_group, message_ids)
    SELECT topic, partition, consumer_group, message_ids FROM {given}
    ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET message_ids = excluded.message_ids RETURNING 1
    """,
)
# The last two look at the rows as all the rest leaves them.
BLOCKED = Part("blocked", ("ordering_key",), "SELECT crossdock_block({keys})")
UNBLOCKED = Part("unblocked", ("ordering_key",), "SELECT crossdock_unblock({keys})")

PARTS = (
    HELD,
    KEPT,
    USERS,
    ORDERS,
    SAVED,
    REMEMBERED,
    FIRST_ADVANCED,
    ADVANCED,
    RECORDED,
    RECORDED_FRESH,
    REPLACED,
    MARKED_SENT,
    REMOVED,
    REMOVED_IF_THERE,
    IN_HAND,
    BLOCKED,
    UNBLOCKED,
)
_GATED = {RECORDED.name, RECORDED_FRESH.name, BLOCKED.name, UNBLOCKED.name}

# Which precondition a constraint of the schema stands for.
CONSTRAINTS = {
    "pk_answers": Precondition.KEY_IS_NEW,
    "uq_users_email": Precondition.EMAIL_IS_NEW,
    "pk_users": Precondition.VERSION_IS_CURRENT,
    "pk_orders": Precondition.VERSION_IS_CURRENT,
    "fk_orders_user_id": Precondition.USER_EXISTS,
    "pk_inbox": Precondition.MESSAGE_IS_NEW,
    "pk_lanes": Precondition.LANE_IS_CURRENT,
    "uq_deliveries_id": Precondition.TOKEN_IS_CURRENT,
}
NEEDS_TO_BE_ALONE = "XD002"
PRECONDITION_FAILED = "XD001"


@cache
def statement(names: frozenset[str], *, alone: bool, tidy: bool) -> str:
    """The statement of these parts. Its parameters: writer and number of the receipt, then the columns of each part.

    What a part returns is counted in the order of the parts, and counting it does it: the engine runs what nobody asks
    for at the end, in no order of ours. ``alone``: nobody else records meanwhile. ``tidy``: receipts are dropped that
    no statement can be waiting for any more.
    """
    writing: list[str] = []
    asking: list[str] = []
    number = 3
    first_of: dict[str, int] = {}
    for part in PARTS:
        if part.name not in names:
            continue
        first = first_of[part.name] = number
        number += len(part.columns)
        arrays = ", ".join(f"${first + n}::{_TYPES.get(column, 'text')}[]" for n, column in enumerate(part.columns))
        given = f"unnest({arrays}) AS given ({', '.join(part.columns)})"
        if part in {BLOCKED, UNBLOCKED}:
            asking.append(f"({part.text.format(keys=arrays)})")
            continue
        writing.append(f"{part.name} AS ({part.text.format(given=given)})")
        count = f"(SELECT count(*) FROM {part.name})"
        asking.append(
            f"crossdock_require({count} = cardinality(${first}::text[]), '{part.every}')" if part.every else count
        )
    if _GATED & names:
        recorded = RECORDED if RECORDED.name in names else RECORDED_FRESH
        keys = [
            f"${first_of[part.name] + part.columns.index('ordering_key')}::text[]" if part.name in names else "'{}'"
            for part in (recorded, UNBLOCKED)
        ]
        is_alone = "true" if alone or BLOCKED.name in names else "false"
        gate = f"crossdock_gate({', '.join(keys)}, {is_alone})"
        writing.insert(0, f"gate AS MATERIALIZED (SELECT {gate} AS dead)")
        asking.insert(0, "(SELECT dead FROM gate)")
    writing.append("receipt AS (INSERT INTO receipts (writer, number) VALUES ($1, $2))")
    if tidy:
        writing.append(
            "tidied AS (DELETE FROM receipts WHERE writer = $1 AND number < $2"
            " AND given_at < clock_timestamp() - interval '1 minute')"
        )
    return f"WITH {', '.join(writing)} SELECT {', '.join(asking) or '1'}"
