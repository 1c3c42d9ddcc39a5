"""That each statement is answered from an index, with so many rows that it matters."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from asyncpg import Connection  # type: ignore[import-untyped]

from adapters.persistence.sql import postgresql_parts as parts
from adapters.persistence.sql import postgresql_statements as statements
from adapters.persistence.sql.postgresql import PostgresqlPersistence
from adapters.persistence.sql.postgresql_connections import Server
from adapters.persistence.sql.postgresql_group import Group
from adapters.persistence.sql.readers import Read
from domain.model.user import Owner
from ports.persistence import (
    SUBJECT_AMONG,
    AddOrder,
    AddUser,
    Advance,
    Block,
    HoldLease,
    KeepAnswer,
    MarkSent,
    Record,
    Remember,
    Remove,
    Replace,
    SaveOrder,
    TakeInHand,
    Unblock,
)
from tests.builders import NOON, a_delivery, a_received, a_task, a_user, an_order
from tests.clock import ManualClock
from tests.contracts.persistence_parts.cases import a_dead_head, a_stored_order, an_answer, change, key_of, recorded

ROWS = 3_000


@pytest.fixture
async def filled(url: str) -> AsyncIterator[PostgresqlPersistence]:
    persistence = PostgresqlPersistence(url, ManualClock())
    await persistence.start()
    for _ in range(ROWS // 500):
        # Of an empty table any index is as good as the other; and of a few users who have all orders none is worth it.
        users = [a_user(owner=Owner("issuer", f"s{number}")) for number in range(100)]
        await persistence.commit([AddUser(user) for user in users])
        await persistence.commit([AddOrder(an_order(user=user)) for user in users])
        await persistence.commit([Record(a_delivery(partition=number % 32)) for number in range(500)])
        await persistence.commit([Record(a_task()) for _ in range(100)])
        await persistence.commit([Record(a_received()) for _ in range(100)])
        await persistence.commit([Record(a_delivery().sent("broker-1", NOON)) for _ in range(200)])
        await persistence.commit([Record(a_task().discarded(NOON)) for _ in range(100)])
        await persistence.commit([Record(a_task().handed_over(NOON)) for _ in range(20)])
    # The server plans by what it counted last, which may be what another test left and has been emptied since.
    connection = await Server(url).connect()
    await connection.execute("ANALYZE")
    await connection.close()
    yield persistence
    await persistence.stop()


EVERY: dict[str, Any] = {
    "ids": ["1", "2"],
    "before": "g",
    "most": 100,
    "of_user": "1",
    "of_issuer": "issuer",
    "of_subject": "s1",
    "partitions": [1, 2, 3],
    "other_than": "broker-2",
    "of_lane": "task",
    "group": "",
    "now": 1,
    "handed_before": 1,
    "after": 0,
    "of_topic": "t",
    "number": 1,
    "low": "relay/",
    "high": "relay0",
    "only_lane": "task",
    "in_name": "",
    "in_subject": "",
    "in_reason": "no such mailbox",
    "about": "s",
    "newest": SUBJECT_AMONG,
    "handled_since": 1,
}
WANTED = {
    Read.USERS: {"pk_users"},
    Read.ORDERS: {"pk_orders"},
    Read.ORDERS_PAGE: {"pk_orders"},
    Read.ORDERS_PAGE_OF_USER: {"ix_orders_user_id_id"},
    Read.ORDERS_PAGE_OF_OWNER: {"ix_users_owner", "ix_orders_user_id_id"},
    Read.ANSWERS: {"pk_answers"},
    Read.READY_EVENTS: {"ix_deliveries_ready_events", "ix_deliveries_stuck"},
    Read.SENT_EVENTS: {"ix_deliveries_sent"},
    Read.FIRST_SENT: {"ix_deliveries_sent"},
    Read.DUE: {"ix_deliveries_due", "ix_deliveries_kept"},
    Read.HANDED_OVER: {"ix_deliveries_handed_over"},
    Read.DELIVERIES: {"uq_deliveries_id"},
    Read.DEAD: {"ix_deliveries_stuck"},
    Read.COUNT_DEAD: {"ix_deliveries_stuck"},
    Read.OF_SUBJECT: {"pk_deliveries"},
    Read.FLOW: {"ix_deliveries_sent", "ix_inbox_seen_at"},
    Read.COUNTS: {
        "ix_deliveries_ready_events",
        "ix_deliveries_due",
        "ix_deliveries_sent",
        "ix_deliveries_stuck",
        "ix_deliveries_discarded",
    },
    Read.DUE_SINCE: {"ix_deliveries_ready_events", "ix_deliveries_due"},
    Read.IN_HAND: {"pk_in_hand"},
    Read.LEASE_HOLDERS: {"pk_leases"},
}


async def test_each_read_uses_the_index_that_was_made_for_it(url: str, filled: PostgresqlPersistence) -> None:
    connection = await Server(url).connect()
    used: dict[Read, set[str]] = {}
    for read, query in statements.READS.items():
        values = EVERY | ({"before": 1} if read is Read.SENT_EVENTS else {})
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query.text}", *query.bind(values))
        nodes = list(_nodes(json.loads(plan)[0]["Plan"]))
        assert not [node for node in nodes if node["Node Type"] == "Seq Scan"], read
        used[read] = {node["Index Name"] for node in nodes if "Index Name" in node}
    await connection.close()

    assert used == WANTED
    assert len(await filled.ledger.ready_events(partitions=range(32), limit=10)) == 10


async def test_no_statement_reads_a_whole_table(sql: Connection, filled: PostgresqlPersistence) -> None:
    order = await a_stored_order(filled)
    before = await _whole_reads(sql)

    event, task = await recorded(filled, a_delivery(), a_task())
    head, *_ = await a_dead_head(filled, a_received(), a_received())
    fences = await filled.leases.take(["relay/0"], holder="a", seconds=10)
    await filled.commit(
        [
            HoldLease("relay/0", "a", fences["relay/0"]),
            SaveOrder(order.confirm(NOON)),
            Remember("g", "s", "m", NOON),
            Advance("g", "t", "s", 0, NOON),
            MarkSent(event.id, "b", NOON),
            change(task, task.claimed("me", NOON)),
            change(head, head.replayed(NOON)),
            Remove("nothing", None),
            Block(key_of(event)),
            Unblock(key_of(head)),
            TakeInHand("g", "t", 0, ["m"]),
            KeepAnswer(an_answer()),
        ]
    )
    await filled.commit([Remove(task.id, task.token + 1), Advance("g", "t", "s", 1, NOON)])
    await filled.ledger.survey("g", "t", [("s", "s", "m")])
    await filled.ledger.forget(before=NOON, limit=10)
    await filled.answers.forget(before=NOON, limit=10)
    await filled.leases.release(["relay/0"], holder="a")
    await filled.stop()  # what its connections have counted is known when they end

    assert await _whole_reads(sql) == before


async def test_what_is_given_is_looked_up_also_in_tables_that_were_empty_when_they_were_counted(
    url: str, sql: Connection, filled: PostgresqlPersistence
) -> None:
    """Turned around, each row of the table would be held against all that is given: slow as soon as there are many."""
    group = Group()
    order = an_order(user=a_user())
    for write in (
        SaveOrder(order.confirm(NOON)),
        Remember("g", "s", "m", NOON),
        Advance("g", "t", "s", 1, NOON),
        Record(a_delivery()),
        Replace(a_delivery().sent("b", NOON), 1),
        MarkSent("x", "b", NOON),
        Remove("y", 1),
        Remove("z", None),
        TakeInHand("g", "t", 0, ["m"]),
    ):
        assert group.add([write])
    names, columns = group.rows()
    writing = parts.statement(names, alone=False, tidy=False)
    surveyed = {"group": "g", "topic": "t", "prefix": "g/t/", "subjects": ["s"], "sources": ["s"], "ids": ["m"]}
    await filled.stop()
    await sql.execute("TRUNCATE deliveries, orders, inbox, lanes, in_hand")
    await sql.execute("VACUUM (ANALYZE)")

    connection = await Server(url).connect()
    plans = [await connection.fetchval(f"EXPLAIN (FORMAT JSON) {writing}", uuid4(), 1, *columns)]
    for query, values in (
        (statements.SURVEY, surveyed),
        (statements.READS[Read.READY_EVENTS], EVERY),
        (statements.READS[Read.DUE], EVERY),
    ):
        plans.append(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query.text}", *query.bind(values)))
    await connection.close()

    for plan in plans:
        nodes = list(_nodes(json.loads(plan)[0]["Plan"]))
        looked_up = [node for node in nodes if node.get("Parent Relationship") in {"Inner", "SubPlan"}]
        assert len(looked_up) >= 1
        assert [node for node in looked_up if "Index Cond" not in node] == []
        assert [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] != "receipts"] == []


async def _whole_reads(sql: Connection) -> dict[str, int]:
    rows = await sql.fetch(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname <> ALL ('{alembic_version,receipts}')"
    )
    return dict(rows)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]
