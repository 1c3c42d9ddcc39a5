"""What a group of units of work becomes before it is sent."""

import pytest

from adapters.persistence.sql import postgresql_parts as parts
from adapters.persistence.sql.postgresql_group import BYTES_MOST, Group
from adapters.persistence.sql.rows import DELIVERY_COLUMNS, FRESH_COLUMNS, delivery_row, fresh_row, full_row
from ports.deliveries import Happening, State
from ports.persistence import (
    ANSWER_MOST,
    AddOrder,
    AddUser,
    Block,
    KeepAnswer,
    Record,
    Remove,
    Replace,
    SaveOrder,
    Unblock,
)
from tests.builders import NOON, a_delivery, a_received, a_task, a_user, an_order
from tests.contracts.persistence_parts.cases import an_answer


def columns(group: Group, part: parts.Part) -> dict[str, tuple[object, ...]]:
    """What is sent for a part, which is the only one."""
    names, values = group.rows()
    assert names == {part.name}
    return dict(zip(part.columns, map(tuple, values), strict=True))


def test_units_that_write_different_rows_go_together() -> None:
    group = Group()

    assert all(group.add([AddUser(a_user()), Record(a_delivery())]) for _ in range(10))

    names, values = group.rows()
    assert names == {"new_users", "recorded_fresh"}
    assert {len(column) for column in values} == {10}


def test_no_two_units_of_a_group_write_the_same_row() -> None:
    order, task, other = an_order(user=a_user()), a_task(), a_task()
    group = Group()

    assert group.add([SaveOrder(order.confirm(NOON)), Remove(task.id, 1)])
    assert not group.add([SaveOrder(order.confirm(NOON)), Remove(other.id, 1)])
    assert not group.add([Replace(task, 1)])
    assert not group.add([Remove(other.id, None)])  # nor does a later one overtake one that waits for its turn
    assert group.add([Remove(a_task().id, None)])


def test_one_key_is_written_once_in_a_group() -> None:
    group = Group()

    assert group.add([AddUser(a_user()), KeepAnswer(an_answer("a-1"))])
    assert not group.add([AddUser(a_user()), KeepAnswer(an_answer("a-1"))])
    assert group.add([AddUser(a_user()), KeepAnswer(an_answer("a-2"))])


def test_large_answers_are_spread_over_several_statements() -> None:
    group = Group()
    taken = 0

    while group.add([KeepAnswer(an_answer(f"a-{taken}", body=bytes(ANSWER_MOST)))]):
        taken += 1

    assert taken == BYTES_MOST // ANSWER_MOST


def test_a_unit_that_cannot_be_written_leaves_nothing_in_the_group() -> None:
    group = Group()

    with pytest.raises(TypeError):
        group.add([Record(a_delivery()), Record(a_delivery(recorded_at=NOON.replace(tzinfo=None)))])

    assert group.is_empty


def test_large_bodies_are_spread_over_several_statements() -> None:
    group = Group()
    body = bytes(BYTES_MOST)

    assert group.add([Record(a_delivery(body=body)), Record(a_delivery(body=body))])  # a unit is never split
    assert not group.add([Record(a_delivery(body=b"{}"))])


def test_what_is_recorded_keeps_its_order_whoever_has_worked_on_it() -> None:
    fresh, parked, late = a_received(), a_received(story=(Happening(NOON, "received"),)), a_received()
    group = Group()
    group.add([Record(fresh), Record(parked)])
    group.add([Record(late)])

    assert columns(group, parts.RECORDED)["id"] == (fresh.id, parked.id, late.id)


def test_a_fresh_delivery_is_the_same_written_short_or_in_full() -> None:
    task = a_task(holder="me", subject=None)
    short = fresh_row(task)

    assert short is not None
    assert len(short) == len(FRESH_COLUMNS)
    assert full_row(short) == delivery_row(task)
    assert len(delivery_row(task)) == len(DELIVERY_COLUMNS)


@pytest.mark.parametrize(
    "worked_on",
    [
        a_task().claimed("me", NOON),
        a_task(state=State.BLOCKED),
        a_task(sent_at=NOON),
        a_task(sent_to="broker-1"),
        a_task(reason="timeout"),
        a_task(first_failed_at=NOON),
        a_task(last_failed_at=NOON),
        a_task(attempts=1),
        a_task(story=(Happening(NOON, "received"),)),
    ],
)
def test_a_delivery_that_somebody_has_worked_on_is_not_fresh(worked_on: object) -> None:
    assert fresh_row(worked_on) is None  # type: ignore[arg-type]


def test_what_is_recorded_with_a_dead_one_of_its_key_waits() -> None:
    behind, dead, other = a_received(subject="s"), a_received(subject="s").died("why", NOON, attempts=1), a_received()
    group = Group()
    group.add([Record(behind)])
    group.add([Record(dead)])
    group.add([Record(other)])

    assert columns(group, parts.RECORDED)["state"] == ("blocked", "dead", "ready")


def test_rows_are_locked_in_one_order() -> None:
    tasks = [a_task() for _ in range(10)]
    group = Group()
    for task in reversed(tasks):
        group.add([Replace(task, 1)])

    assert columns(group, parts.REPLACED)["id"] == tuple(task.id for task in tasks)


def test_there_are_few_statements() -> None:
    """One for each set of parts, however many rows: each connection prepares each of them once."""
    texts = set()
    for size in (1, 2, 100):
        group = Group()
        for _ in range(size):
            group.add([AddOrder(an_order(user=a_user())), Record(a_delivery())])
        names, _ = group.rows()
        texts.add(parts.statement(names, alone=False, tidy=False))

    assert len(texts) == 1


def test_blocking_and_unblocking_come_last_and_alone() -> None:
    group = Group()
    group.add([Replace(a_delivery(), 1), Block("/t/s"), Unblock("/t/other")])

    text = parts.statement(group.rows()[0], alone=False, tidy=False)

    assert text.index("crossdock_require") < text.index("crossdock_block") < text.index("crossdock_unblock")
    assert "true)" in text[: text.index("replaced AS")]
