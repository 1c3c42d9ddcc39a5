"""What is read from PostgreSQL, as text.

An index of some rows is used only for a condition that stands there in the same words, hence text and not parameters.
``OFFSET 0`` keeps a look-up as it is: for each row, in an index. The engine would make a join of it, and as long as it
takes a table for empty, as a queue often was when somebody last counted, go through all of it for each row.
"""

# ruff: noqa: S608 - the texts are made of names that stand in our own code
import re
from typing import Any

from adapters.persistence.sql.readers import COUNTING, DUE_SINCE_EACH, FLOWING, Read
from adapters.persistence.sql.rows import ANSWER_COLUMNS, DELIVERY_COLUMNS, ORDER_COLUMNS, USER_COLUMNS

_NAME = re.compile(r"(?<!:):(\w+)")

# Microseconds since 1970, like every instant here, by the clock that all processes share.
NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class Query:
    """A statement with named parameters."""

    def __init__(self, text: str) -> None:
        names = list(dict.fromkeys(_NAME.findall(text)))
        self.text = _NAME.sub(lambda match: f"${names.index(match[1]) + 1}", text)
        self._names = names

    def bind(self, named: dict[str, Any]) -> list[Any]:
        """The parameters in their order; what the statement does not know is left out."""
        return [named[name] for name in self._names]


_user = ", ".join(USER_COLUMNS)
_order = ", ".join(ORDER_COLUMNS)
_delivery = ", ".join((*DELIVERY_COLUMNS, "position"))
_STUCK = "state IN ('dead', 'blocked')"
_SOUGHT = f"""
    {_STUCK} AND state = 'dead' AND (:only_lane::text IS NULL OR lane = :only_lane)
    AND strpos(name, :in_name) > 0 AND strpos(coalesce(subject, ''), :in_subject) > 0
    AND strpos(coalesce(reason, ''), :in_reason) > 0
"""

READS = {
    Read.USERS: Query(f"SELECT {_user} FROM users WHERE id = ANY (:ids::text[])"),
    Read.ORDERS: Query(f"SELECT {_order} FROM orders WHERE id = ANY (:ids::text[])"),
    Read.ORDERS_PAGE: Query(f"SELECT {_order} FROM orders WHERE id < :before ORDER BY id DESC LIMIT :most"),
    Read.ORDERS_PAGE_OF_USER: Query(
        f"SELECT {_order} FROM orders WHERE user_id = :of_user AND id < :before ORDER BY id DESC LIMIT :most"
    ),
    Read.ORDERS_PAGE_OF_OWNER: Query(
        f"""
        SELECT {", ".join(f"orders.{column}" for column in ORDER_COLUMNS)} FROM orders JOIN users ON users.id = user_id
        WHERE issuer = :of_issuer AND subject = :of_subject AND orders.id < :before
        ORDER BY orders.id DESC LIMIT :most
        """
    ),
    Read.ANSWERS: Query(f"SELECT {', '.join(ANSWER_COLUMNS)} FROM answers WHERE id = ANY (:ids::text[])"),
    # Nothing goes past a dead one or one that waits, whoever has not seen it yet when it was recorded.
    Read.READY_EVENTS: Query(
        f"""
        SELECT {_delivery} FROM deliveries
        WHERE lane = 'event' AND state = 'ready' AND partition = ANY (:partitions::integer[]) AND position > :after
            AND NOT EXISTS (
                SELECT FROM deliveries AS dead
                WHERE dead.{_STUCK} AND dead.state = 'dead' AND dead.ordering_key = deliveries.ordering_key
                OFFSET 0
            )
            AND NOT EXISTS (
                SELECT FROM deliveries AS blocked
                WHERE blocked.{_STUCK} AND blocked.state = 'blocked' AND blocked.ordering_key = deliveries.ordering_key
                    AND blocked.position < deliveries.position
                OFFSET 0
            )
        ORDER BY position LIMIT :most
        """
    ),
    Read.SENT_EVENTS: Query(
        f"""
        SELECT * FROM (
            SELECT {_delivery} FROM deliveries WHERE state = 'sent' AND sent_to < :other_than
            UNION ALL
            SELECT {_delivery} FROM deliveries WHERE state = 'sent' AND sent_to > :other_than
            UNION ALL
            SELECT {_delivery} FROM deliveries
            WHERE state = 'sent' AND sent_to = :other_than AND sent_at < :before::bigint
        ) AS found
        ORDER BY position LIMIT :most
        """
    ),
    Read.FIRST_SENT: Query(
        f"SELECT {_delivery} FROM deliveries WHERE state = 'sent' ORDER BY sent_to, sent_at LIMIT 1"
    ),
    Read.DUE: Query(
        f"""
        SELECT {_delivery} FROM deliveries
        WHERE lane <> 'event' AND state = 'ready'
            AND lane = :of_lane AND consumer_group = :group AND due_at <= :now
            AND (:handed_before::bigint IS NULL OR holder IS NOT NULL OR sent_at IS NULL OR sent_at <= :handed_before)
            AND NOT EXISTS (
                SELECT FROM deliveries AS earlier
                WHERE earlier.lane = 'received' AND earlier.ordering_key IS NOT NULL
                    AND earlier.ordering_key = deliveries.ordering_key
                    AND earlier.position < deliveries.position AND earlier.state <> 'discarded'
                OFFSET 0
            )
        ORDER BY due_at, position LIMIT :most
        """
    ),
    Read.HANDED_OVER: Query(
        """
        SELECT count(*) FROM deliveries
        WHERE lane = 'task' AND state = 'ready' AND holder IS NULL AND sent_at IS NOT NULL
        """
    ),
    Read.DELIVERIES: Query(f"SELECT {_delivery} FROM deliveries WHERE id = ANY (:ids::text[])"),
    # The dead are few; "+ 0" keeps the engine from looking for them among all positions.
    Read.DEAD: Query(
        f"""
        SELECT {_delivery} FROM deliveries
        WHERE {_SOUGHT} AND position + 0 > :after ORDER BY position + 0 LIMIT :most
        """
    ),
    Read.COUNT_DEAD: Query(f"SELECT count(*) FROM deliveries WHERE {_SOUGHT}"),
    Read.OF_SUBJECT: Query(
        f"""
        SELECT {_delivery} FROM (SELECT * FROM deliveries ORDER BY position DESC LIMIT :newest) AS newest
        WHERE subject = :about::text ORDER BY position LIMIT :most
        """
    ),
    Read.FLOW: Query(FLOWING + "pg_sequence_last_value('deliveries_position_seq')"),
    Read.COUNTS: Query(COUNTING),
    Read.DUE_SINCE: Query(DUE_SINCE_EACH),
    Read.IN_HAND: Query(
        "SELECT message_ids FROM in_hand WHERE consumer_group = :group AND topic = :of_topic AND partition = :number"
    ),
    Read.LEASE_HOLDERS: Query(
        f"""
        SELECT DISTINCT holder FROM leases
        WHERE name >= :low AND name < :high AND expires_at > {NOW} ORDER BY holder
        """
    ),
}

SURVEY = Query(
    """
    SELECT 'seen', given.source, given.message_id, 0
    FROM unnest(:sources::text[], :ids::text[]) AS given (source, message_id)
    CROSS JOIN LATERAL (
        SELECT FROM inbox
        WHERE consumer_group = :group AND source = given.source AND message_id = given.message_id OFFSET 0
    ) AS found
    UNION ALL
    SELECT 'lane', given.subject, '', found.version
    FROM unnest(:subjects::text[]) AS given (subject)
    CROSS JOIN LATERAL (
        SELECT version FROM lanes WHERE consumer_group = :group AND topic = :topic AND subject = given.subject OFFSET 0
    ) AS found
    UNION ALL
    SELECT 'kept', given.subject, '', 0
    FROM unnest(:subjects::text[]) AS given (subject)
    WHERE EXISTS (
        SELECT FROM deliveries
        WHERE lane = 'received' AND ordering_key IS NOT NULL
            AND ordering_key = :prefix || given.subject AND state <> 'discarded' OFFSET 0
    )
    """
)


def _forgetting(table: str, old: str) -> Query:
    return Query(
        f"""
        DELETE FROM {table} WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM {table} WHERE {old} LIMIT :most FOR UPDATE SKIP LOCKED
        ))
        """
    )


FORGET = (
    _forgetting("inbox", "seen_at < :before"),
    _forgetting("deliveries", "state = 'discarded' AND due_at < :before"),
    # A lane whose messages we keep is still in use, however long ago it moved.
    _forgetting(
        "lanes",
        """
        advanced_at < :before AND NOT EXISTS (
            SELECT FROM deliveries WHERE lane = 'received' AND ordering_key IS NOT NULL
                AND ordering_key = lanes.consumer_group || '/' || lanes.topic || '/' || lanes.subject
        )
        """,
    ),
)
FORGET_ANSWERS = _forgetting("answers", "answered_at < :before")
FORGET_RECEIPTS = "DELETE FROM receipts WHERE given_at < clock_timestamp() - interval '1 hour'"

TAKE_LEASES = Query(
    f"""
    INSERT INTO leases AS held (name, holder, fence, expires_at)
    SELECT name, :holder, 1, {NOW} + :micros::bigint FROM unnest(:names::text[]) AS name
    ON CONFLICT (name) DO UPDATE SET
        fence = held.fence + CASE WHEN held.holder = excluded.holder THEN 0 ELSE 1 END,
        holder = excluded.holder,
        expires_at = {NOW} + :micros::bigint
    WHERE held.holder = excluded.holder OR held.expires_at <= {NOW}
    RETURNING name, fence
    """
)
RELEASE_LEASES = Query(
    """
    UPDATE leases SET expires_at = 0
    WHERE name IN (
        SELECT name FROM leases WHERE name = ANY (:names::text[]) AND holder = :holder ORDER BY name FOR UPDATE
    )
    """
)

STORED_REVISION = "SELECT to_regclass('alembic_version') IS NOT NULL", "SELECT version_num FROM alembic_version"
