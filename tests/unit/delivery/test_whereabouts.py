"""Where is order X? What the database knows is told step by step."""

from dataclasses import replace

import pytest

from domain.delivery.whereabouts import ROWS_MOST, Way
from entrypoints.testing import Crossdock, crossdock
from ports.errors import Rejected, Unavailable
from ports.persistence import Record
from tests.builders import NOON, a_delivery, a_received, a_task, a_user, an_order
from tests.unit.journeys.test_desk_journey import publish_created
from tests.unit.journeys.test_main_journey import a_placed_order, a_registered_user


async def where(dock: Crossdock, subject: str) -> Way:
    return await dock.container.whereabouts()(subject)


def told(way: Way) -> list[tuple[str, str, str]]:
    return [(step.what, step.name.removeprefix("crossdock."), step.progress.value) for step in way.steps]


async def test_an_order_is_followed_from_its_record_to_its_mail() -> None:
    async with crossdock() as dock:
        user = await a_registered_user(dock)
        await dock.settle()
        order = await a_placed_order(dock, user)

        before = await where(dock, order)
        await dock.clock.advance(5)
        await dock.settle()
        after = await where(dock, order)

    assert before.kind == after.kind == "order"
    assert told(before) == [("record", "order", "done"), ("publish", "order.created.v1", "waiting")]
    assert told(after) == [
        ("record", "order", "done"),
        ("publish", "order.created.v1", "done"),
        ("handle", "order.created.v1", "done"),
        ("confirm", "order", "done"),
        ("publish", "order.confirmed.v1", "done"),
        ("perform", "send_order_confirmation", "done"),
    ]
    assert after.steps[0].at == before.steps[0].at
    assert after.steps[3].at == dock.clock.now()


async def test_what_a_broker_holds_has_been_published_and_waits_for_the_consumer() -> None:
    async with crossdock() as dock:
        order = await a_placed_order(dock, await a_registered_user(dock))
        broker = dock.container.event_broker()
        await broker.declare(["order_events"], "crossdock")
        while await dock.container.event_relay().step():
            pass

        way = await where(dock, order)

    assert told(way)[1:] == [("publish", "order.created.v1", "done"), ("handle", "order.created.v1", "waiting")]
    assert way.steps[2].at is not None


@pytest.mark.parametrize(
    ("error", "progress"), [(Rejected("no such mailbox"), "dead"), (ValueError("a bug"), "failing")], ids=str
)
async def test_a_mail_that_could_not_be_sent_is_the_step_that_tells_why(error: Exception, progress: str) -> None:
    async with crossdock(CROSSDOCK_MAX_ATTEMPTS="2") as dock:
        user = await a_registered_user(dock)
        await dock.settle()
        dock.fail_next("mailer.send", error)
        order = await a_placed_order(dock, user)
        await dock.settle()

        way = await where(dock, order)

    last = way.steps[-1]
    assert told(way)[-1] == ("perform", "send_order_confirmation", progress)
    assert str(error) in last.detail
    assert last.delivery is not None


async def test_a_user_is_followed_as_well() -> None:
    async with crossdock() as dock:
        dock.fail_next("mailer.send", Unavailable("away"))
        user = await a_registered_user(dock)
        await dock.settle()

        way = await where(dock, user)

    assert way.kind == "user"
    assert told(way) == [
        ("record", "user", "done"),
        ("publish", "user.registered.v1", "done"),
        ("perform", "send_welcome_email", "waiting"),
    ]


async def test_what_others_sent_about_what_is_not_here_is_told_from_its_rows() -> None:
    async with crossdock(CROSSDOCK_MAX_ATTEMPTS="1") as dock:
        await dock.settle()
        unknown = an_order(user=a_user())
        await publish_created(dock, unknown)
        await publish_created(dock, unknown, sequence=2)
        await dock.settle()

        way = await where(dock, str(unknown.id))

    assert way.kind == "subject"
    assert told(way) == [
        ("receive", "order.created.v1", "done"),
        ("handle", "order.created.v1", "dead"),
        ("receive", "order.created.v1", "done"),
        ("handle", "order.created.v1", "waiting"),
    ]


async def test_what_was_given_up_is_told_so() -> None:
    async with crossdock() as dock:
        dead = a_task(subject="s").died("no such mailbox", NOON, attempts=1)
        await dock.container.persistence().commit([Record(dead)])
        await dock.container.dead_letters().discard(dead.id)

        way = await where(dock, "s")

    assert told(way) == [("perform", "send_welcome_email", "discarded")]


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (a_delivery(subject="s"), "the relay has not brought it to the broker yet"),
        (a_received(subject="s"), "behind an earlier one of its subject"),
        (a_task(subject="s"), "nobody has begun yet"),
        (a_task(subject="s").handed_over(NOON), "a queue has it"),
        (a_task(subject="s").claimed("host-1:4711", NOON), "in the hands of host-1:4711"),
        (a_task(subject="s").born_claimed("host-1:4711", 15), "nobody has begun yet"),
    ],
    ids=["event", "received", "task", "handed over", "claimed", "born claimed"],
)
async def test_what_waits_tells_for_what(row: object, detail: str) -> None:
    async with crossdock() as dock:
        await dock.container.persistence().commit([Record(row)])  # type: ignore[arg-type]

        way = await where(dock, "s")

    assert (way.steps[-1].progress.value, way.steps[-1].detail) == ("waiting", detail)


@pytest.mark.parametrize("subject", ["nobody", "", "01a20900-0ed0-7160-af42-374286f40e16", "\ud800", "z" * 36])
async def test_of_what_nobody_knows_nothing_is_told(subject: str) -> None:
    async with crossdock() as dock:
        way = await where(dock, subject)

    assert (way.kind, list(way.steps)) == ("subject", [])


async def test_of_very_many_rows_the_oldest_are_told_and_that_there_are_more() -> None:
    async with crossdock() as dock:
        rows = [replace(a_task(subject="s"), name=f"task-{number}") for number in range(ROWS_MOST + 1)]
        await dock.container.persistence().commit([Record(row) for row in rows])

        way = await where(dock, "s")

    assert len(way.steps) == ROWS_MOST
    assert (way.steps[0].name, way.more) == ("task-0", True)
