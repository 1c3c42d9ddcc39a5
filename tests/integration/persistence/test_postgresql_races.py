"""What one writer never sees: several connections and processes that write at the same moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from asyncpg import Connection, connect  # type: ignore[import-untyped]

from adapters.persistence.sql.postgresql import PostgresqlPersistence
from ports.deliveries import Delivery, State
from ports.errors import Precondition, Unavailable
from ports.persistence import (
    AddOrder,
    AddUser,
    Advance,
    Block,
    HoldLease,
    Record,
    Remove,
    SaveOrder,
    Traffic,
    Unblock,
)
from tests.builders import NOON, a_delivery, a_task, a_user, an_order
from tests.contracts.persistence_parts.cases import (
    a_dead_head,
    a_stored_order,
    change,
    dead,
    failing,
    key_of,
    one_winner,
    recorded,
    states,
    stored,
)

Answer = TypeVar("Answer")
Open = Callable[[], Awaitable[PostgresqlPersistence]]


@pytest.fixture
async def one(opened: Open) -> PostgresqlPersistence:
    return await opened()


@pytest.fixture
async def other(opened: Open) -> PostgresqlPersistence:
    return await opened()


@pytest.fixture
async def patient(url: str) -> AsyncIterator[Connection]:
    """Leaves it to others to look for a deadlock: in a circle, whoever looks first is ended."""
    settings = {"deadlock_timeout": "1min", "lock_timeout": "30s"}
    connection = await connect(url, user="postgres", password="postgres", server_settings=settings)
    yield connection
    await connection.close()


@asynccontextmanager
async def holding(sql: Connection, statement: str, *parameters: object) -> AsyncIterator[None]:
    """A transaction of somebody else's that has done this and not ended yet; it is rolled back."""
    transaction = sql.transaction()
    await transaction.start()
    try:
        await sql.execute(statement, *parameters)
        yield
    finally:
        await transaction.rollback()


async def waits(sql: Connection, work: Coroutine[Any, Any, Answer]) -> "asyncio.Task[Answer]":
    """Begin it, and return when it waits for a lock."""
    before = await _waiting(sql)
    task = asyncio.create_task(work)
    async with asyncio.timeout(5):
        while await _waiting(sql) == before:
            assert not task.done()
            await asyncio.sleep(0.002)
    return task


async def _waiting(sql: Connection) -> int:
    count: int = await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return count


LOCK_DELIVERY = "SELECT FROM deliveries WHERE id = $1 FOR UPDATE"
# Somebody else is about to record this id as well: whoever records it waits to see what becomes of that.
SAME_ID = """
    INSERT INTO deliveries (id, lane, name, topic, consumer_group, partition, attributes, body, recorded_at, due_at,
        state, token, attempts, story)
    VALUES ($1, 'task', '', '', '', 0, '{}', '', 0, 0, 'ready', 1, 0, '[]')
"""


async def test_a_takeover_waits_for_who_still_holds_the_lease_in_its_commit(
    sql: Connection, one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    (row,) = await recorded(one, a_delivery())
    fence = (await one.leases.take(["relay/0"], holder="a", seconds=0.3))["relay/0"]
    async with holding(sql, LOCK_DELIVERY, row.id):
        marking = await waits(
            sql,
            one.commit(
                [HoldLease("relay/0", "a", fence), change(row, row.sent("b", NOON))], traffic=Traffic.BOOKKEEPING
            ),
        )
        taking = await waits(sql, other.leases.take(["relay/0"], holder="b", seconds=10))
        await sql.execute("SELECT pg_sleep(0.3)")  # the lease runs out
        assert not taking.done()

    await marking

    assert await taking == {"relay/0": fence + 1}
    assert await states(one, row) == [State.SENT]


async def test_who_lost_the_lease_while_it_waited_may_not_commit(sql: Connection, one: PostgresqlPersistence) -> None:
    (row,) = await recorded(one, a_delivery())
    fence = (await one.leases.take(["relay/0"], holder="a", seconds=10))["relay/0"]
    transaction = sql.transaction()
    await transaction.start()
    await sql.execute("UPDATE leases SET holder = 'b', fence = fence + 1")
    marking = await waits(
        sql,
        failing(one.commit([HoldLease("relay/0", "a", fence), change(row, row.sent("b", NOON))])),
    )

    await transaction.commit()

    assert await marking is Precondition.LEASE_IS_HELD
    assert await states(one, row) == [State.READY]


async def test_what_is_recorded_while_the_head_is_replayed_is_not_blocked_for_ever(
    sql: Connection, one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    (head,) = await a_dead_head(one, a_delivery(subject="s"))
    follower = a_delivery(subject="s")
    async with holding(sql, LOCK_DELIVERY, head.id):
        replaying = await waits(sql, one.commit([change(head, head.replayed(NOON)), Unblock(key_of(head))]))
        recording = await waits(sql, other.commit([Record(follower)]))

    await asyncio.gather(replaying, recording)

    assert await states(one, head, follower) == [State.READY, State.READY]


async def test_a_replay_that_begins_while_something_is_recorded_unblocks_it(
    sql: Connection, one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    (head,) = await a_dead_head(one, a_delivery(subject="s"))
    follower = a_delivery(subject="s")
    async with holding(sql, SAME_ID, follower.id):
        recording = await waits(sql, other.commit([Record(follower)]))
        replaying = await waits(sql, one.commit([change(head, head.replayed(NOON)), Unblock(key_of(head))]))

    await asyncio.gather(replaying, recording)

    assert await states(one, head, follower) == [State.READY, State.READY]


async def test_a_death_that_begins_while_something_is_recorded_blocks_it(
    sql: Connection, one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    (head,) = await recorded(one, a_delivery(subject="s"))
    follower = a_delivery(subject="s")
    async with holding(sql, SAME_ID, follower.id):
        recording = await waits(sql, other.commit([Record(follower)]))
        dying = await waits(sql, one.commit([change(head, dead(head)), Block(key_of(head))]))

    await asyncio.gather(dying, recording)

    assert await states(one, head, follower) == [State.DEAD, State.BLOCKED]


async def test_what_is_recorded_while_the_head_dies_is_blocked(
    sql: Connection, one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    (head,) = await recorded(one, a_delivery(subject="s"))
    follower = a_delivery(subject="s")
    async with holding(sql, LOCK_DELIVERY, head.id):
        dying = await waits(sql, one.commit([change(head, dead(head)), Block(key_of(head))]))
        recording = await waits(sql, other.commit([Record(follower)]))

    await asyncio.gather(dying, recording)

    assert await states(one, head, follower) == [State.DEAD, State.BLOCKED]


async def test_nothing_stays_blocked_or_goes_past_a_dead_one_whatever_meets(
    one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    for _ in range(30):
        (head,) = await recorded(one, a_delivery())
        followers = [a_delivery(subject=head.subject) for _ in range(4)]
        died = dead(head)

        async def die_and_be_replayed(head: Delivery = head, died: Delivery = died) -> None:
            await one.commit([change(head, died), Block(key_of(head))], traffic=Traffic.BOOKKEEPING)
            await one.commit([change(died, died.replayed(NOON)), Unblock(key_of(head))])

        await asyncio.gather(
            die_and_be_replayed(),
            *(store.commit([Record(row)]) for store, row in zip([one, other] * 2, followers, strict=True)),
        )

        assert await states(one, head, *followers) == [State.READY] * 5


async def test_an_event_does_not_go_past_a_dead_one_that_blocked_nobody(one: PostgresqlPersistence) -> None:
    head, follower, free = await recorded(one, a_delivery(subject="s"), a_delivery(subject="s"), a_delivery())

    await one.commit([change(head, dead(head))])

    assert list(await one.ledger.ready_events(partitions=[0], limit=10)) == [free]
    assert await states(one, follower) == [State.READY]


async def test_units_that_unblock_what_is_free_do_not_wait_for_one_another(
    sql: Connection, one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    """Each handled message unblocks: were it exclusive, all consumers would stand in one line."""
    await a_dead_head(one, a_delivery(), a_delivery())  # elsewhere something is blocked
    first, second = await recorded(one, a_delivery(), a_delivery())
    async with holding(sql, LOCK_DELIVERY, first.id):
        held_up = await waits(sql, one.commit([Remove(first.id, None), Unblock(key_of(first))]))

        await other.commit([Remove(second.id, None), Unblock(key_of(second)), Record(a_delivery())])

        assert not held_up.done()
    await held_up


async def test_leases_that_many_processes_want_at_once_have_one_holder_each(
    one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    names = [f"relay/{number}" for number in range(20)]
    for round_ in range(10):
        takes = [
            store.leases.take(names[:: 1 if number % 2 else -1], holder=f"{round_}-{number}", seconds=10)
            for number, store in enumerate([one, other] * 3)
        ]

        taken = await asyncio.gather(*takes)

        assert sorted(name for each in taken for name in each) == sorted(names)
        assert {fence for each in taken for fence in each.values()} == {round_ + 1}
        for number in range(6):
            await one.leases.release(names, holder=f"{round_}-{number}")


async def test_rows_that_two_processes_want_in_opposite_order_stop_neither(
    one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    for _ in range(20):
        rows = await recorded(one, *(a_task() for _ in range(20)))
        forward = [change(row, row.claimed("forward", NOON)) for row in rows]
        backward = [change(row, row.claimed("backward", NOON)) for row in reversed(rows)]

        outcomes = await asyncio.gather(failing(one.commit(forward)), failing(other.commit(backward)))

        assert one_winner(outcomes, Precondition.TOKEN_IS_CURRENT)
        assert len({(await stored(one, row)).holder for row in rows}) == 1


async def test_one_of_two_processes_saves_a_version_and_moves_a_lane(
    one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    for _ in range(20):
        order = await a_stored_order(one)
        save, advance = SaveOrder(order.confirm(NOON)), Advance("g", "t", str(order.id), 0, NOON)

        saved = await asyncio.gather(*(failing(store.commit([save])) for store in (one, other)))
        moved = await asyncio.gather(*(failing(store.commit([advance])) for store in (one, other)))

        assert one_winner(saved, Precondition.VERSION_IS_CURRENT)
        assert one_winner(moved, Precondition.LANE_IS_CURRENT)


async def test_events_of_one_subject_are_published_in_the_order_of_its_versions(
    opened: Open, one: PostgresqlPersistence
) -> None:
    """Positions are given before the commit; the version that each commit wants keeps both in one order."""
    stores = [one, await opened(), await opened()]
    order = await a_stored_order(one)

    async def save_some(store: PostgresqlPersistence) -> None:
        for _ in range(10):
            while True:
                now = await store.orders.get(order.id)
                assert now is not None
                later = replace(now, version=now.version + 1)
                event = a_delivery(subject="s", body=str(later.version).encode())
                if await failing(store.commit([SaveOrder(later), Record(event)])) is None:
                    break

    await asyncio.gather(*map(save_some, stores))

    events = await one.ledger.ready_events(partitions=[0], limit=100)
    assert [int(event.body) for event in events] == list(range(2, 32))


async def test_a_row_that_somebody_keeps_locked_holds_up_nobody_else(
    sql: Connection, one: PostgresqlPersistence
) -> None:
    locked, *free = await recorded(one, *(a_task() for _ in range(20)))
    async with holding(sql, LOCK_DELIVERY, locked.id):
        outcomes = await asyncio.gather(
            *(one.commit([change(row, row.claimed("me", NOON))]) for row in (*free[:9], locked, *free[9:])),
            return_exceptions=True,
        )

    assert [outcome for outcome in outcomes if outcome is not None] == [outcomes[9]]
    assert isinstance(outcomes[9], Unavailable)
    assert await stored(one, locked) == locked


async def test_a_deadlock_is_tried_again(patient: Connection, sql: Connection, one: PostgresqlPersistence) -> None:
    rows = sorted(await recorded(one, a_task(), a_task(), a_task()), key=lambda row: row.id)
    first, second, third = (row.id for row in rows)
    async with holding(patient, LOCK_DELIVERY, third):
        async with holding(sql, LOCK_DELIVERY, second):
            claiming = await waits(sql, one.commit([change(row, row.claimed("me", NOON)) for row in rows], seconds=30))
            circle = await waits(sql, patient.execute(LOCK_DELIVERY, first))
        # What claims goes on to the third now, and closes the circle: the server ends it, and not who is patient.

        await circle

        assert not claiming.done()
    await claiming
    assert {(await stored(one, row)).holder for row in rows} == {"me"}


async def test_a_position_is_never_given_twice(one: PostgresqlPersistence) -> None:
    (row,) = await recorded(one, a_delivery())
    await one.commit([Remove(row.id, None)])

    (later,) = await recorded(one, a_delivery())

    assert later.position > row.position


async def test_orders_and_users_race_for_what_one_of_them_adds(
    one: PostgresqlPersistence, other: PostgresqlPersistence
) -> None:
    for _ in range(20):
        user = a_user()
        order = an_order(user=user)

        added, placed = await asyncio.gather(
            failing(one.commit([AddUser(user)])), failing(other.commit([AddOrder(order)]))
        )

        assert added is None
        assert placed in {None, Precondition.USER_EXISTS}
        assert (await one.orders.get(order.id) is None) is (placed is not None)
