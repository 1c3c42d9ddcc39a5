import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import pytest

from domain.delivery import receive as receiving
from domain.delivery.failures import PROCESS_ENDED
from domain.delivery.receive import Receive
from domain.model.errors import OrderNotFound
from domain.model.events import OrderCreated, UserRegistered
from domain.model.order import Order
from domain.model.times import to_rfc3339
from ports.deliveries import Delivery, Lane, State
from ports.delivery_counts import OTHER, Step
from ports.errors import Conflict, Precondition, Rejected, Unavailable, Unknown
from ports.message import BODY_MOST, Message, write_event
from ports.persistence import AddUser, Advance, LaneState, Record, Remember, TakeInHand, UnitOfWork, Write
from tests.builders import a_message, a_user, an_id, an_order
from tests.unit.delivery.builders import (
    GROUP,
    FlakyBroker,
    FlakyPersistence,
    Process,
    Reacting,
    World,
    a_batch,
    a_created,
    away,
    created,
    kill_in,
)

SAME = an_id()


@pytest.fixture
def reacting() -> Reacting:
    return Reacting()


@pytest.fixture
def broker(world: World) -> FlakyBroker:
    return FlakyBroker(world.broker)


@pytest.fixture
async def process(world: World, store: FlakyPersistence, broker: FlakyBroker, reacting: Reacting) -> Process:
    return await world.process(store=store, broker=broker, reactions={OrderCreated: reacting})


@pytest.fixture
def order() -> Order:
    return an_order(user=a_user())


async def handle(process: Process, *messages: Message, first: bool = False) -> None:
    await process.receive.handle(a_batch(*messages), first=first)


async def effects(world: World) -> int:
    """Each effect of the reaction is one task."""
    return await world.deliveries(Lane.TASK)


async def kept(world: World, state: State | None = None) -> list[Delivery]:
    """What is kept of our group, oldest first."""
    rows = [row for row in world.store._store.deliveries._rows.values() if row.lane is Lane.RECEIVED]
    return [row for row in sorted(rows, key=lambda row: row.position) if state is None or row.state is state]


@asynccontextmanager
async def running(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(receive.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish(world: World, *messages: Message) -> None:
    assert list(await world.broker.publish(messages)) == [None] * len(messages)


async def backlog(world: World) -> int:
    return await world.broker.backlog(["order_events"], GROUP)


# --- once -------------------------------------------------------------------------------------------------------------


async def test_five_copies_in_one_batch_have_one_effect(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    await handle(process, *[created(order, id=an_id())] * 5)

    assert (len(reacting.ran), await effects(world)) == (1, 1)


async def test_five_copies_one_after_the_other_have_one_effect(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    message = created(order)

    for _ in range(5):
        await handle(process, message)

    assert (len(reacting.ran), await effects(world)) == (1, 1)


async def test_five_consumers_that_are_given_one_message_at_once_have_one_effect(
    world: World, reacting: Reacting, order: Order
) -> None:
    reacting.meanwhile = lambda _event: asyncio.sleep(0)
    processes = [await world.process(reactions={OrderCreated: reacting}) for _ in range(5)]
    message = created(order)

    await asyncio.gather(*(handle(process, message) for process in processes))

    assert await effects(world) == 1
    assert await world.deliveries(Lane.RECEIVED) == 0


async def test_an_old_message_that_comes_again_after_later_ones_has_no_second_effect(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    first, second = created(order), created(order)
    await handle(process, first, second)

    await handle(process, second, first)

    assert len(reacting.ran) == 2
    assert await world.deliveries(Lane.RECEIVED) == 0


async def test_the_same_id_of_another_source_is_another_message(
    process: Process, reacting: Reacting, order: Order
) -> None:
    id_ = an_id()

    await handle(process, created(order, id=id_), created(order, id=id_, source="shop"))

    assert len(reacting.ran) == 2


async def test_effect_and_memory_of_it_are_one_commit(
    world: World, process: Process, store: FlakyPersistence, order: Order
) -> None:
    """With the inbox and the lane as preconditions, and our own event off the outbox."""
    message = created(order)

    await handle(process, message)

    (unit,) = [writes for writes in store.committed if any(isinstance(write, Remember) for write in writes)]
    assert {type(write).__name__ for write in unit} == {"Record", "Remember", "Advance", "Remove", "Unblock"}
    survey = await world.store.ledger.survey(
        GROUP, "order_events", [(str(order.id), "crossdock", message.attributes["id"])]
    )
    assert survey.lanes == {str(order.id): LaneState(version=1)}
    assert len(survey.seen) == 1


async def test_messages_of_one_subject_are_handled_in_order_and_of_different_ones_at_once(
    world: World, process: Process, reacting: Reacting
) -> None:
    orders = [an_order(user=a_user()) for _ in range(10)]
    messages = [created(order, sequence=str(number)) for number in range(1, 5) for order in orders]
    reacting.meanwhile = lambda _event: world.clock.sleep(1)

    await world.clock.run(process.receive.handle(a_batch(*messages), first=False))

    for order in orders:
        assert [event.sequence for event in reacting.ran if event.order_id == order.id] == [1, 2, 3, 4]
    assert world.clock.monotonic() == 4


async def test_a_reaction_that_read_stale_data_runs_again(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting, order: Order
) -> None:
    async def fail_once(_event: OrderCreated) -> None:
        if len(reacting.ran) < 4:
            store.fail_next(Conflict(Precondition.VERSION_IS_CURRENT))

    reacting.meanwhile = fail_once

    await handle(process, created(order))

    assert (len(reacting.ran), await effects(world)) == (4, 1)


async def test_a_reaction_that_always_reads_stale_data_is_kept_as_failed(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting, order: Order
) -> None:
    async def fail(_event: OrderCreated) -> None:
        store.fail_next(Conflict(Precondition.VERSION_IS_CURRENT))

    reacting.meanwhile = fail

    await handle(process, created(order))

    (parked,) = await kept(world)
    assert (parked.attempts, parked.reason) == (1, "the data that it depends on kept changing")
    assert len(reacting.ran) == 10


async def test_a_message_without_a_subject_waits_for_nobody(world: World, process: Process, reacting: Reacting) -> None:
    first, second = (an_order(user=a_user()) for _ in range(2))
    reacting.failing[str(first.id)] = ValueError("no")

    await handle(process, created(first, subject=""), created(second, subject=""))

    assert [row.subject for row in await kept(world)] == [None]
    assert await effects(world) == 1


# --- failing ----------------------------------------------------------------------------------------------------------


async def test_a_failing_message_is_kept_with_its_story_and_acknowledged_and_others_flow(
    world: World, process: Process, reacting: Reacting
) -> None:
    bad, good = (an_order(user=a_user()) for _ in range(2))
    reacting.failing[str(bad.id)] = OrderNotFound()
    message = created(bad)
    await publish(world, message, created(good))

    async with running(process.receive):
        await world.clock.settle()

        assert await backlog(world) == 0
    (parked,) = await kept(world)
    assert (parked.state, parked.attempts) == (State.READY, 1)
    assert parked.reason == "There is no order with this id."
    assert [happening.what for happening in parked.story] == ["received", "failed"]
    assert message.attributes["id"] in parked.story[0].why
    assert (parked.message.body, dict(parked.message.attributes)) == (message.body, dict(message.attributes))
    assert timedelta(seconds=0.75) <= parked.due_at - world.clock.now() <= timedelta(seconds=1.25)
    assert await effects(world) == 1


async def test_later_messages_of_a_lane_wait_in_order_behind_one_that_failed(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    reacting.failing[str(order.id)] = ValueError("no")
    messages = [created(order, sequence=str(number)) for number in (1, 2, 3)]

    await handle(process, *messages[:2])
    await handle(process, messages[2])

    rows = await kept(world)
    assert [row.attributes["sequence"] for row in rows] == ["1", "2", "3"]
    assert [row.attempts for row in rows] == [1, 0, 0]
    assert len(reacting.ran) == 1
    due = await world.store.ledger.due(Lane.RECEIVED, now=world.clock.now() + timedelta(hours=1), limit=9, group=GROUP)
    assert [row.attributes["sequence"] for row in due] == ["1"]


async def test_rejected_by_what_the_reaction_needs_is_dead_at_once(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    reacting.failing[str(order.id)] = Rejected("never")

    await handle(process, created(order), created(order))

    (dead,) = await world.desk()
    assert (dead.attempts, dead.reason) == (1, "never")
    assert len(await kept(world, State.BLOCKED)) == 1


async def test_a_message_that_could_not_be_kept_is_not_told_to_be_dead(
    process: Process, store: FlakyPersistence, reacting: Reacting, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is told looks at the desk, and has to find it there."""
    reacting.next_failures.extend([Rejected("no such mailbox")] * 2)

    async def fail_to_keep(writes: Sequence[Write]) -> None:
        if any(isinstance(write, Record) and write.delivery.lane is Lane.RECEIVED for write in writes):
            store.before_commit = None
            raise Unavailable("the store is away")

    store.before_commit = fail_to_keep
    message = a_created()

    with pytest.raises(Unavailable):
        await handle(process, message)

    assert not caplog.records

    await handle(process, message)

    assert [vars(line)["dead_letter"] for line in caplog.records] == [OrderCreated.type]


@pytest.mark.parametrize("error", [Rejected("the store never takes this"), ValueError("a bug in a driver")])
async def test_an_effect_that_the_store_refuses_is_kept_as_failed_and_blocks_its_lane_only(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting, error: Exception
) -> None:
    """What fails in the commit has failed as much as what fails before it: the partition goes on."""
    bad, good = (an_order(user=a_user()) for _ in range(2))

    async def fail(event: OrderCreated) -> None:
        if event.order_id == bad.id:
            store.fail_next(error)

    reacting.meanwhile = fail

    await handle(process, created(bad))
    await handle(process, created(good))

    (parked,) = await kept(world)
    assert parked.subject == str(bad.id)
    assert await effects(world) == 1


async def test_a_refusal_that_the_commit_finds_is_kept_as_failed(world: World, order: Order) -> None:
    taken = a_user()
    await world.store.commit([AddUser(taken)])

    async def register_again(_event: OrderCreated, work: UnitOfWork) -> None:
        work.users.add(a_user(email=taken.email))

    process = await world.process(reactions={OrderCreated: register_again})

    await handle(process, created(order))

    (parked,) = await kept(world)
    assert parked.reason == "A user with this e-mail address is already registered."


@pytest.fixture
def no_time_to_react(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what a process is made of after this."""
    monkeypatch.setattr(receiving, "REACTION_SECONDS", 0)


@pytest.mark.usefixtures("no_time_to_react")
async def test_a_reaction_that_hangs_has_failed(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    async def hang(_event: OrderCreated) -> None:
        await asyncio.Event().wait()

    reacting.meanwhile = hang

    await handle(process, created(order))

    assert [row.reason for row in await kept(world)] == ["TimeoutError: not done after 0 seconds"]


async def test_a_reaction_that_is_cancelled_by_what_it_awaits_has_failed_and_the_partition_goes_on(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    reacting.next_failures.append(asyncio.CancelledError())
    other = an_order(user=a_user())
    await publish(world, created(order), created(other))

    async with running(process.receive):
        await world.clock.settle()

        assert await backlog(world) == 0
    assert len(await kept(world)) == 1
    assert await effects(world) == 1


async def test_who_listens_is_told_of_what_is_kept_and_who_fails_to_listen_does_no_harm(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    told: list[Delivery] = []

    async def note(recorded: Sequence[Delivery]) -> None:
        told.extend(recorded)
        raise RuntimeError("nobody there")

    process.recording.listeners.append(note)
    reacting.failing[str(order.id)] = ValueError("no")

    await handle(process, created(order))

    assert [one.lane for one in told] == [Lane.RECEIVED]
    assert len(await kept(world)) == 1


# --- unavailable ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [away(), Unknown("perhaps")])
async def test_what_is_unavailable_keeps_nothing_and_costs_no_attempt(
    world: World, process: Process, reacting: Reacting, order: Order, error: Exception
) -> None:
    """From the first batch on: what we had in hand ourselves while we waited does not speak against it."""
    reacting.failing[str(order.id)] = error
    await publish(world, created(order))

    async with running(process.receive):
        await world.clock.advance(60)
        assert (await backlog(world), await kept(world)) == (1, [])
        assert len(reacting.ran) > 5
        reacting.failing.clear()
        await world.clock.advance(10)

        assert await backlog(world) == 0
    assert await effects(world) == 1
    assert await kept(world) == []


async def test_a_partition_that_pauses_does_not_pause_the_others(
    world: World, process: Process, reacting: Reacting
) -> None:
    orders = [an_order(user=a_user()) for _ in range(30)]
    reacting.failing[str(orders[0].id)] = away()
    await publish(world, *map(created, orders))

    async with running(process.receive):
        await world.clock.advance(5)

        assert await effects(world) == 29
        assert 0 < await backlog(world) < 30


async def test_a_broker_that_breaks_off_while_messages_are_in_hand_costs_no_attempt(
    world: World, process: Process, broker: FlakyBroker, reacting: Reacting, order: Order
) -> None:
    """They come again to the member that we then are; no process has ended."""
    gate = asyncio.Event()
    reacting.meanwhile = lambda _event: _until(gate)
    await publish(world, created(order))

    async with running(process.receive):
        await world.clock.settle()
        broker.raised["receive"] = away()
        await publish(world, a_created())
        await world.clock.advance(3)
        gate.set()
        broker.raised.clear()
        await world.clock.advance(10)

    assert await kept(world) == []
    assert await effects(world) == 2


@pytest.mark.parametrize("call", ["receive", "subscribe", "close"])
@pytest.mark.parametrize("error", [away(), ValueError("a bug in a driver"), asyncio.CancelledError()], ids=repr)
async def test_a_consumer_never_ends_by_itself(
    world: World, process: Process, broker: FlakyBroker, call: str, error: Exception
) -> None:
    broker.raised = {call: error, "receive": error}

    async with running(process.receive) as task:
        await world.clock.advance(60)
        assert not task.done()
        broker.raised.clear()
        await publish(world, a_created())
        await world.clock.advance(10)

        assert await backlog(world) == 0
    assert await effects(world) == 1


async def test_a_consumer_that_is_told_to_end_while_its_broker_fails_ends(
    world: World, process: Process, broker: FlakyBroker
) -> None:
    broker.raised["close"] = away()
    async with running(process.receive) as task:
        await world.clock.settle()

        task.cancel()
        await world.clock.settle()

        assert task.cancelled()


async def test_a_subscription_that_is_closed_under_a_consumer_is_replaced_and_nothing_spins(
    world: World, process: Process, broker: FlakyBroker, order: Order
) -> None:
    broker.closes_subscriptions = True
    async with running(process.receive):
        await world.clock.advance(5)
        broker.closes_subscriptions = False
        await publish(world, created(order))
        await world.clock.advance(10)

    assert await effects(world) == 1


async def test_an_acknowledgement_that_fails_is_repeated_and_the_effect_is_not(
    world: World, process: Process, broker: FlakyBroker, reacting: Reacting, order: Order
) -> None:
    broker.raised["acknowledge"] = away()
    await publish(world, created(order))

    async with running(process.receive):
        await world.clock.advance(60)
        assert await backlog(world) == 1
        broker.raised.clear()
        await world.clock.advance(10)

        assert await backlog(world) == 0
    assert (len(reacting.ran), await effects(world)) == (1, 1)


@pytest.mark.parametrize("is_done", [True, False])
async def test_a_commit_whose_answer_is_lost_has_one_effect(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting, is_done: bool
) -> None:
    async def lose_the_answer(_event: OrderCreated) -> None:
        reacting.meanwhile = None
        store.fail_next(Unknown("the answer was lost"), is_done=is_done)

    reacting.meanwhile = lose_the_answer
    await publish(world, a_created())

    async with running(process.receive):
        await world.clock.advance(5)

    assert await effects(world) == 1
    assert await kept(world) == []


async def test_a_bound_of_what_is_kept_pauses_and_leaves_the_backlog_in_the_broker(
    world: World, process: Process, reacting: Reacting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "PARKED_MOST", 3)
    orders = [an_order(user=a_user()) for _ in range(8)]
    for order in orders:
        reacting.failing[str(order.id)] = ValueError("no")
    for order in orders:
        await publish(world, created(order))

    async with running(process.receive):
        await world.clock.advance(30)
        waiting = await backlog(world)
        assert waiting > 0
        monkeypatch.setattr(receiving, "PARKED_MOST", 100)
        await world.clock.advance(10)

        assert await backlog(world) == 0
    assert len(await kept(world)) == 8


async def test_what_was_discarded_does_not_count_towards_the_bound(
    world: World, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "PARKED_MOST", 1)
    await handle(process, a_message(b"unreadable"))
    (dead,) = await world.desk()
    with pytest.raises(Unavailable):
        await handle(process, a_message(b"unreadable"))

    await process.dead_letters.discard(dead.id)

    await handle(process, a_message(b"unreadable"))


# --- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "attributes", "reason"),
    [
        (b"", {}, "cannot be read"),
        (b"not JSON", {}, "cannot be read"),
        (b"\xff\xfe", {}, "cannot be read"),
        (b"[]", {}, "the data are not a JSON object"),
        (b"[" * 100_000, {}, "cannot be read"),
        (b"{}", {}, "missing: currency"),
        (b"{}", {"type": "crossdock.order.created.v2"}, "unknown version of a known type"),
        (b"{}", {"type": ""}, "missing: type"),
        (b"{}", {"id": ""}, "missing: id"),
        (b"{}", {"id": "no UUID"}, "cannot be read"),
    ],
)
async def test_what_cannot_be_read_is_on_the_desk_with_its_reason_and_the_rest_flows(
    world: World, process: Process, body: bytes, attributes: dict[str, str], reason: str
) -> None:
    await publish(world, a_message(body, **attributes), a_created())

    async with running(process.receive):
        await world.clock.settle()

        assert await backlog(world) == 0
    (dead,) = await world.desk()
    assert dead.reason is not None
    assert reason in dead.reason
    assert dead.body == body
    assert await effects(world) == 1


async def test_what_is_older_than_the_inbox_remembers_is_on_the_desk(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    def from_before(days: float) -> Message:
        return created(order, time=to_rfc3339(world.clock.now() - timedelta(days=days)))

    await handle(process, from_before(29.9))
    await handle(process, from_before(30.1))

    (dead,) = await world.desk()
    assert dead.reason == "older than the 30 days that the inbox remembers"
    assert len(reacting.ran) == 1


async def test_what_was_seen_is_passed_over_however_old(world: World, process: Process, order: Order) -> None:
    message = created(order, time=to_rfc3339(world.clock.now() - timedelta(days=29)))
    await handle(process, message)
    await world.clock.advance(timedelta(days=3).total_seconds())

    await handle(process, message)

    assert not await world.desk()


@pytest.mark.parametrize("time", ["", "yesterday", "2026-11-23T05:00:00", "0001-01-01T00:00:00+14:00", "\ud800"])
async def test_a_message_without_a_time_that_can_be_read_is_not_too_old(
    world: World, process: Process, order: Order, time: str
) -> None:
    await handle(process, created(order, time=time))

    assert await effects(world) == 1


async def test_types_that_are_not_ours_are_passed_over_and_counted_once(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    reacting.next_failures.append(away())
    foreign = a_message(b"whatever", type="shop.basket.filled.v1")
    await publish(world, foreign, foreign, created(order))

    async with running(process.receive):
        await world.clock.advance(10)

        assert await backlog(world) == 0
    assert process.counted(Step.PASSED_OVER, OTHER) == 2
    assert await kept(world) == []


async def test_what_is_seen_again_by_trying_again_was_not_brought_again(
    process: Process, reacting: Reacting, order: Order
) -> None:
    """A batch that has to wait for one of its messages is looked up with each try: only the broker repeats."""
    other = an_order(user=a_user())
    reacting.failing[str(other.id)] = away()
    batch = a_batch(twice := created(order), created(other), twice)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await process.receive.handle(batch, first=True)
    reacting.failing.clear()

    await process.receive.handle(batch, first=True)
    once = process.counted(Step.REPEATED, OrderCreated.type)
    await process.receive.handle(batch, first=False)

    assert once == 1
    assert process.counted(Step.REPEATED, OrderCreated.type) == 1 + len(batch.messages)


async def test_types_of_ours_that_nobody_reacts_to_are_passed_over(world: World, process: Process) -> None:
    await handle(process, write_event(UserRegistered.of(a_user(), id=an_id())))

    assert process.counted(Step.PASSED_OVER, OTHER) == 0
    assert await kept(world) == []


async def test_a_message_without_an_id_is_known_by_what_it_says(world: World, process: Process) -> None:
    said = a_message(b"{}", id="", subject="a")

    await handle(process, said)
    await handle(process, said, said)
    assert len(await world.desk()) == 1
    for other in (a_message(b"{}", id="", subject="b"), a_message(b"{ }", id="", subject="c")):
        await handle(process, other)

    assert len(await world.desk()) == 3


async def test_long_ids_that_begin_alike_are_different_messages(process: Process, reacting: Reacting) -> None:
    """The inbox knows long names by their hash; cut off, one of two would be taken for the other and lost."""
    long = "urn:shop:" + "x" * 300
    orders = [an_order(user=a_user()) for _ in range(2)]

    await handle(process, *(created(order, source=f"{long}{number}", id=SAME) for number, order in enumerate(orders)))
    await handle(process, *(a_message(b"", id=f"{long}{number}") for number in range(2)))

    assert len(reacting.ran) == 2
    assert len((await process.dead_letters.page()).items) == 2


@pytest.mark.parametrize("name", ["id", "source", "subject", "type", "time", "note"])
@pytest.mark.parametrize(
    "value", ["a\0b", "\ud800", "x" * 100_000, "two\nlines"], ids=["NUL", "surrogate", "long", "lines"]
)
async def test_a_hostile_attribute_reaches_no_store_as_it_is(
    world: World, process: Process, store: FlakyPersistence, name: str, value: str
) -> None:
    good = a_created()
    hostile = Message(topic="order_events", attributes={**good.attributes, name: value}, body=good.body)
    other = "crossdock.order.created.v" + value
    hostile_type = Message(topic="order_events", attributes={**good.attributes, "type": other}, body=b"")

    await handle(process, hostile, hostile_type)

    for writes in store.committed:
        for write in writes:
            text = repr(write)
            assert "\\ud800" not in text.replace("\\\\ud800", "")
            assert "\\x00" not in text
    for row in await kept(world):
        assert len(row.subject or "") <= 200
    for key in world.store._store.inbox:
        assert all(len(part) <= 200 for part in key)


# --- in hand when a process ended -------------------------------------------------------------------------------------


async def test_what_is_in_hand_is_noted_before_it_is_handled(
    process: Process, store: FlakyPersistence, order: Order
) -> None:
    message = created(order)

    await handle(process, message)

    first = store.committed[0]
    assert first == (TakeInHand(GROUP, "order_events", 0, [message.attributes["id"]]),)


async def test_what_a_dead_process_had_in_hand_runs_alone_with_the_attempt_counted_first(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    message = created(order)
    await world.store.commit([TakeInHand(GROUP, "order_events", 0, [message.attributes["id"]])])
    new = a_created()

    await handle(process, message, new, first=True)

    (parked,) = await kept(world)
    assert (parked.attempts, parked.reason, parked.state) == (1, PROCESS_ENDED, State.READY)
    assert [str(event.id) for event in reacting.ran] == [new.attributes["id"]]


async def test_a_partition_that_we_know_is_not_looked_into_again(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    message = created(order)
    await world.store.commit([TakeInHand(GROUP, "order_events", 0, [message.attributes["id"]])])

    await handle(process, message, first=False)

    assert len(reacting.ran) == 1


async def test_what_was_handled_before_the_process_ended_is_not_suspected(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    message = created(order)
    await handle(process, message)
    successor = await world.process(reactions={OrderCreated: reacting})

    await handle(successor, message, first=True)

    assert await kept(world) == []


@pytest.mark.parametrize("failing_commit", [1, 2, 3])
async def test_a_suspicion_outlives_an_outage(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting, failing_commit: int
) -> None:
    """The note of the dead process is replaced by ours before its messages are dealt with."""
    messages = [a_created() for _ in range(3)]
    await world.store.commit([TakeInHand(GROUP, "order_events", 0, [each.attributes["id"] for each in messages])])
    commits = 0

    async def fail_one(_writes: Sequence[object]) -> None:
        nonlocal commits
        commits += 1
        if commits == failing_commit:
            raise away()

    store.before_commit = fail_one
    with pytest.raises(Unavailable):
        await handle(process, *messages, first=True)

    await handle(process, *messages, first=True)

    assert reacting.ran == []
    assert [row.attempts for row in await kept(world)] == [1, 1, 1]


@pytest.mark.parametrize("is_done", [True, False])
async def test_our_own_note_with_a_lost_answer_is_no_suspicion(
    world: World, process: Process, store: FlakyPersistence, order: Order, is_done: bool
) -> None:
    message = created(order)
    store.fail_next(Unknown("the answer was lost"), is_done=is_done)
    with pytest.raises(Unknown):
        await handle(process, message, first=True)

    await handle(process, message, first=True)

    assert await kept(world) == []
    assert await effects(world) == 1


async def test_a_message_that_kills_its_process_is_on_the_desk_in_the_end_and_its_neighbours_are_handled(
    world: World,
) -> None:
    """They are in one batch, and later due together: none of them may run out of attempts for the killer's fault."""
    killer, *neighbours = [an_order(user=a_user()) for _ in range(6)]
    await publish(world, *map(created, (*neighbours[:3], killer, *neighbours[3:])))
    killed = asyncio.Event()
    deaths = 0

    async def kill_or_take_a_while(event: OrderCreated, work: UnitOfWork) -> None:
        if event.order_id == killer.id:
            killed.set()
        await world.clock.sleep(0.2)
        await Reacting()(event, work)

    async def run(process: Process) -> None:
        async with running(process.receive):
            while True:
                if not await process.retry.step():
                    await world.clock.sleep(0.05)

    while not await world.desk() and deaths < 20:
        killed.clear()
        store = FlakyPersistence(world.store)
        process = await world.process(store=store, reactions={OrderCreated: kill_or_take_a_while}, most=4)
        living = asyncio.create_task(kill_in(store, run(process), killed))
        while not living.done() and not await world.desk():
            await world.clock.advance(0.5)
        deaths += living.done()
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)

    (dead,) = await world.desk()
    assert (dead.subject, dead.attempts, dead.reason) == (str(killer.id), 4, PROCESS_ENDED)
    assert deaths == 4
    assert await effects(world) == len(neighbours)
    assert await backlog(world) == 0


# --- zombies ----------------------------------------------------------------------------------------------------------


async def test_a_zombie_can_neither_handle_nor_keep_what_the_new_owner_has_handled(
    world: World, reacting: Reacting, order: Order
) -> None:
    """It hangs in the first of two messages, and fails when the new owner has handled both."""
    first, second = created(order), created(order)
    woken = asyncio.Event()
    zombie_reaction = Reacting()
    zombie_reaction.meanwhile = lambda _event: _until(woken)
    zombie_reaction.failing[str(order.id)] = ValueError("late")
    zombie = await world.process(reactions={OrderCreated: zombie_reaction})
    hanging = asyncio.create_task(handle(zombie, first, second))
    await world.clock.settle()
    owner = await world.process(reactions={OrderCreated: reacting})
    await handle(owner, first, second)

    woken.set()
    await hanging

    assert await kept(world) == []
    assert await effects(world) == 2


async def test_a_zombie_does_not_handle_past_what_the_new_owner_has_kept(
    world: World, reacting: Reacting, order: Order
) -> None:
    first, second = created(order, sequence="1"), created(order, sequence="2")
    woken = asyncio.Event()
    zombie_reaction = Reacting()
    zombie_reaction.meanwhile = lambda _event: _until(woken)
    zombie = await world.process(reactions={OrderCreated: zombie_reaction})
    hanging = asyncio.create_task(handle(zombie, second))
    await world.clock.settle()
    reacting.failing[str(order.id)] = ValueError("no")
    owner = await world.process(reactions={OrderCreated: reacting})
    await handle(owner, first)

    woken.set()
    await hanging

    assert [row.attributes["sequence"] for row in await kept(world)] == ["1", "2"]
    assert await effects(world) == 0


async def test_a_message_that_comes_while_the_last_kept_one_is_handled_is_neither_lost_nor_stuck(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting, order: Order
) -> None:
    """It is about to be kept behind one that is gone when it is written."""
    reacting.failing[str(order.id)] = ValueError("no")
    await handle(process, created(order))
    reacting.failing.clear()
    await world.clock.advance(2)
    retried = False

    async def retry_meanwhile(writes: Sequence[object]) -> None:
        nonlocal retried
        if any(isinstance(write, Advance) for write in writes) and not retried:
            retried = True
            await process.retry.step()

    store.before_commit = retry_meanwhile

    await handle(process, created(order))

    assert retried
    assert await kept(world) == []
    assert await effects(world) == 2


# --- several at once --------------------------------------------------------------------------------------------------


async def test_members_that_join_and_leave_lose_and_double_nothing(
    world: World, reacting: Reacting, dice: Random
) -> None:
    orders = [an_order(user=a_user()) for _ in range(120)]
    reacting.meanwhile = lambda _event: world.clock.sleep(dice.choice([0, 0, 0.1, 0.5]))
    members: list[asyncio.Task[None]] = []
    for order in orders:
        await publish(world, created(order))
        if dice.random() < 0.15:
            process = await world.process(reactions={OrderCreated: reacting})
            members.append(asyncio.create_task(process.receive.run()))
        if members and dice.random() < 0.1:
            leaving = members.pop(dice.randrange(len(members)))
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        await world.clock.advance(0.1)
    last = await world.process(reactions={OrderCreated: reacting})

    async with running(last.receive):
        await world.clock.advance(10)
        for _ in range(20):
            await world.clock.run(last.retry.step())
            await world.clock.advance(1)

    for member in members:
        member.cancel()
    await asyncio.gather(*members, return_exceptions=True)
    assert await backlog(world) == 0
    assert await effects(world) == len(orders)


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_consumer_in_trouble_says_so_for_a_while(world: World) -> None:
    """`/readyz` tells of it; a consumer that merely has nothing to do is in no trouble."""
    broker = FlakyBroker(world.broker)
    process = await world.process(broker=broker)
    broker.raised["subscribe"] = Unavailable("the broker is away")
    receiving = asyncio.create_task(process.receive.run())
    await world.clock.advance(1)

    assert process.receive.trouble == "the broker is away"

    del broker.raised["subscribe"]
    await world.clock.advance(30)
    assert process.receive.trouble is None
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)


async def test_a_body_that_is_too_large_is_dead_with_its_beginning(world: World) -> None:
    """A broker may be told to carry more than ours; a store that has to take all of it never ends."""
    process = await world.process()
    huge = a_created(id="huge")
    huge = Message(topic=huge.topic, attributes=huge.attributes, body=b"x" * (BODY_MOST + 1))

    await process.receive.handle(a_batch(huge), first=False)

    (dead,) = (await process.dead_letters.page()).items
    assert len(dead.body) == BODY_MOST
    assert "524,289 bytes" in (dead.reason or "")
