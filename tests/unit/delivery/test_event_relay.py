import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from domain.delivery import relay as relaying
from domain.delivery.in_hand import STUCK_SECONDS
from domain.model.events import OrderCreated
from ports.deliveries import Delivery, Lane, State
from ports.delivery_counts import Step
from ports.errors import Rejected, Unavailable
from ports.event_broker import Outcome
from ports.message import Message, partition_of
from ports.persistence import Record, Remove, Replace, Write
from tests.builders import a_delivery, an_id
from tests.unit.delivery.builders import PARTITIONS, FlakyBroker, FlakyPersistence, Process, World, away

KEPT = OrderCreated.type
OTHER = "crossdock.order.confirmed.v1"


class Relaying:
    """One process that relays, over a broker and a store that can be told to fail."""

    def __init__(self, world: World, process: Process, store: FlakyPersistence, broker: FlakyBroker) -> None:
        self.world = world
        self.process = process
        self.store = store
        self.broker = broker
        self.relay = process.event_relay

    @classmethod
    async def begin(cls, world: World) -> "Relaying":
        store, broker = FlakyPersistence(world.store), FlakyBroker(world.broker)
        return cls(world, await world.process(store=store, broker=broker), store, broker)


@pytest.fixture
async def one(world: World) -> Relaying:
    return await Relaying.begin(world)


@pytest.fixture
async def other(world: World) -> Relaying:
    return await Relaying.begin(world)


async def record(world: World, *subjects: str, name: str = OTHER) -> list[Delivery]:
    """Events of these subjects, in this order."""
    events = [
        a_delivery(
            id=(id_ := str(an_id())),
            subject=subject,
            name=name,
            partition=partition_of(subject, PARTITIONS),
            attributes={"id": id_, "source": "crossdock", "type": name, "subject": subject},
        )
        for subject in subjects
    ]
    await world.store.commit([Record(event) for event in events])
    return events


async def row(world: World, event: Delivery) -> Delivery | None:
    return await world.store.ledger.get(event.id)


def rejecting(event: Delivery) -> Callable[[Message, Sequence[Message]], Outcome]:
    """Reject this one, alone or in company."""

    def judge(message: Message, _batch: Sequence[Message]) -> Outcome:
        return Rejected("no such format") if message.attributes["id"] == event.id else None

    return judge


# --- order ------------------------------------------------------------------------------------------------------------


async def test_each_subject_is_published_in_the_order_of_recording(world: World, one: Relaying) -> None:
    events = await record(world, "a", "b", "a", "c", "a", "b")

    await one.process.carry()

    for subject in "abc":
        assert world.published(subject) == [event.id for event in events if event.subject == subject]


async def test_at_most_one_message_of_a_subject_is_in_flight(world: World, one: Relaying) -> None:
    await record(world, *"aabbabc")

    await one.process.carry()

    for batch in one.broker.batches:
        subjects = [message.subject for message in batch]
        assert len(set(subjects)) == len(subjects)


async def test_one_step_carries_many_batches_and_keeps_the_order_of_each_subject(world: World, one: Relaying) -> None:
    """The next batch is published while the one before is being marked: none of its subjects may be in it."""
    subjects = [f"subject-{number % 700}" for number in range(2_100)]
    events = await record(world, *subjects)

    steps = 0
    while await one.relay.step():
        steps += 1

    for subject in set(subjects):
        assert world.published(subject) == [event.id for event in events if event.subject == subject]
    assert await world.deliveries(Lane.EVENT) == 0
    assert steps < 10


async def test_the_same_subject_of_two_topics_are_two_orders(world: World, one: Relaying) -> None:
    order, user = a_delivery(subject="a"), a_delivery(subject="a", topic="user_events")
    await world.store.commit([Record(order), Record(user)])

    await one.relay.step()

    assert {message.topic for message in one.broker.batches[0]} == {"order_events", "user_events"}


async def test_there_is_nothing_to_do_without_events(one: Relaying) -> None:
    assert not await one.relay.step()


# --- unavailable ------------------------------------------------------------------------------------------------------


async def test_what_is_unavailable_is_sent_again_and_costs_nothing(world: World, one: Relaying) -> None:
    first, second = await record(world, "a", "a")
    one.broker.judge = lambda _message, _batch: away()
    for _ in range(20):
        with pytest.raises(Unavailable):
            await one.relay.step()
    assert await row(world, first) == replace(first, position=1)

    one.broker.judge = lambda _message, _batch: None
    await one.process.carry()

    assert world.published("a") == [first.id, second.id]
    assert not await world.desk()


async def test_each_event_is_counted_by_what_became_of_it(world: World, one: Relaying) -> None:
    await record(world, "a", "b", "c")
    outcomes: dict[str | None, Outcome] = {"b": away(), "c": Rejected("no")}
    one.broker.judge = lambda message, _batch: outcomes.get(message.subject)
    await one.relay.step()

    del outcomes["b"]
    await one.relay.step()

    steps = (Step.DELIVERED, Step.POSTPONED, Step.DEAD)
    assert [one.process.counted(step, OTHER) for step in steps] == [2, 1, 1]


async def test_an_answer_that_is_lost_makes_a_duplicate_and_no_disorder(world: World, one: Relaying) -> None:
    first, second = await record(world, "a", "a")
    one.broker.loses_answers = True
    with pytest.raises(Unavailable):
        await one.relay.step()
    one.broker.loses_answers = False

    await one.process.carry()

    assert world.published("a") == [first.id, first.id, second.id]


async def test_what_the_broker_takes_does_not_wait_for_what_it_does_not(world: World, one: Relaying) -> None:
    """A queue that is away is no reason to pause for others; only when nothing is taken the relay backs off."""
    stuck, *flowing = await record(world, "a", "b", "b", "b")
    one.broker.judge = lambda message, _batch: away() if message.subject == "a" else None

    for _ in flowing:
        assert await one.relay.step()
    with pytest.raises(Unavailable):
        await one.relay.step()

    assert world.published() == [event.id for event in flowing]
    assert await row(world, stuck) is not None


async def test_a_partition_that_is_away_with_more_than_a_batch_holds_up_no_other(
    world: World, one: Relaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events are the oldest and fill a batch, so the others are in none that is read with them."""
    monkeypatch.setattr(relaying, "EVENTS_AT_ONCE", 5)
    stuck = [f"stuck-{number}" for number in range(200)]
    stuck = [subject for subject in stuck if partition_of(subject, PARTITIONS) == 0][:12]
    flowing = next(name for name in map("flowing-{}".format, range(200)) if partition_of(name, PARTITIONS) != 0)
    await record(world, *stuck)
    (event,) = await record(world, flowing)
    one.broker.judge = lambda message, _batch: away() if message.subject in stuck else None

    assert await one.relay.step()

    assert world.published() == [event.id]
    assert await world.deliveries(Lane.EVENT) == 12


async def test_what_is_not_taken_is_told_once_though_the_next_batch_is_and_again_when_it_is_over(
    world: World, one: Relaying, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A later batch of the same step, without that partition, says nothing of it."""
    caplog.set_level(logging.INFO, logger="crossdock.relay")
    monkeypatch.setattr(relaying, "EVENTS_AT_ONCE", 5)
    subjects = [f"subject-{number}" for number in range(200)]
    stuck = [subject for subject in subjects if partition_of(subject, PARTITIONS) == 0][:5]
    flowing = [subject for subject in subjects if partition_of(subject, PARTITIONS) != 0]
    await record(world, *stuck, flowing[0])
    one.broker.judge = lambda message, _batch: away() if message.subject in stuck else None

    assert await one.relay.step()
    await record(world, flowing[1])
    assert await one.relay.step()
    while_away = told(caplog)
    one.broker.judge = lambda _message, _batch: None
    assert await one.relay.step()

    assert [line.split(":")[0] for line in while_away] == ["5 of 5 events not taken"]
    assert [line.split(",")[0] for line in told(caplog)[1:]] == ["the broker takes all events again"]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of events that are not taken."""
    return [line for line in caplog.messages if "taken" in line or "takes" in line]


@pytest.mark.parametrize("call", ["identity", "declare"])
async def test_nothing_is_sent_to_a_broker_that_does_not_say_who_it_is_or_cannot_keep_it(
    world: World, one: Relaying, call: str
) -> None:
    await record(world, "a")
    one.broker.raised[call] = away()

    with pytest.raises(Unavailable):
        await one.relay.step()

    assert one.broker.batches == []


async def test_a_broker_that_cannot_count_its_backlog_is_given_messages_nevertheless(
    world: World, one: Relaying
) -> None:
    await one.relay.step()
    one.broker.raised["backlog"] = away()
    await world.clock.advance(20)
    (event,) = await record(world, "a")

    await one.relay.step()

    assert world.published("a") == [event.id]


async def test_topics_are_declared_at_once_for_another_broker_and_now_and_then(world: World, one: Relaying) -> None:
    await one.relay.step()
    await world.lose_the_broker()
    one.broker.inner = world.broker
    (event,) = await record(world, "a")

    await one.relay.step()

    assert world.published("a") == [event.id]


async def test_a_topic_that_was_deleted_is_declared_again(world: World, one: Relaying) -> None:
    """The memory broker takes nothing for a topic that nobody has declared, as others do."""
    await one.relay.step()
    world.broker._topics.clear()
    (event,) = await record(world, "a")
    with pytest.raises(Unavailable):
        await one.relay.step()

    await world.clock.advance(30)
    await one.relay.step()

    assert world.published("a") == [event.id]


# --- rejected ---------------------------------------------------------------------------------------------------------


async def test_a_rejection_in_company_is_tried_again_alone(world: World, one: Relaying) -> None:
    """A broker may reject a batch whole for the fault of one message in it."""
    events = await record(world, "a", "b", "c")
    one.broker.judge = lambda _message, batch: Rejected("this batch") if len(batch) > 1 else None

    await one.relay.step()

    assert sorted(world.published()) == sorted(event.id for event in events)
    assert not await world.desk()


async def test_what_is_rejected_alone_is_dead_with_its_story_and_blocks_its_subject_only(
    world: World, one: Relaying
) -> None:
    dead, behind, elsewhere = await record(world, "a", "a", "b")
    one.broker.judge = rejecting(dead)

    await one.process.carry()

    assert world.published() == [elsewhere.id]
    (on_desk,) = await world.desk()
    assert (on_desk.id, on_desk.reason, on_desk.attempts) == (dead.id, "no such format", 1)
    assert [happening.what for happening in on_desk.story] == ["dead"]
    blocked = await row(world, behind)
    assert blocked is not None
    assert blocked.state is State.BLOCKED


async def test_a_death_that_could_not_be_written_down_is_not_told(
    world: World, one: Relaying, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is told looks at the desk, and has to find it there."""
    (event,) = await record(world, "a")
    one.broker.judge = rejecting(event)
    one.store.before_commit = _fail_to_bury

    with pytest.raises(Unavailable):
        await one.relay.step()

    assert not caplog.records
    assert one.process.counted(Step.DEAD, event.name) == 0

    one.store.before_commit = None
    await one.relay.step()

    assert [vars(line)["dead_letter"] for line in caplog.records] == [event.name]
    assert one.process.counted(Step.DEAD, event.name) == 1


async def _fail_to_bury(writes: Sequence[Write]) -> None:
    if any(isinstance(write, Replace) for write in writes):
        raise away("the store is away")


async def test_what_is_recorded_behind_a_dead_one_waits_too(world: World, one: Relaying) -> None:
    (dead,) = await record(world, "a")
    one.broker.judge = rejecting(dead)
    await one.process.carry()
    (later,) = await record(world, "a")

    await one.process.carry()

    assert world.published() == []
    blocked = await row(world, later)
    assert blocked is not None
    assert blocked.state is State.BLOCKED


async def test_many_that_wait_behind_a_dead_one_do_not_starve_the_rest(world: World, one: Relaying) -> None:
    dead, *_ = await record(world, *["a"] * 1_200)
    one.broker.judge = rejecting(dead)
    await one.process.carry()
    (elsewhere,) = await record(world, "b")

    await one.process.carry()

    assert world.published() == [elsewhere.id]


async def test_a_reason_that_no_store_takes_is_written_so_that_it_does(world: World, one: Relaying) -> None:
    (dead,) = await record(world, "a")
    one.broker.judge = lambda _message, _batch: Rejected("no \ud800\0")

    await one.process.carry()

    assert [each.reason for each in await world.desk()] == ["no \\ud800\\0"]
    assert dead.subject == "a"


# --- what our own group reacts to -------------------------------------------------------------------------------------


async def test_a_kept_event_stays_with_the_stamp_of_the_broker_until_it_is_handled(
    world: World, process: Process
) -> None:
    order = await process.place_order()

    await process.carry()

    counts = await world.store.ledger.counts()
    assert {state: number for (lane, state), number in counts.items() if lane is Lane.EVENT} == {State.SENT: 1}
    (kept,) = await world.store.ledger.sent_events(to_other_than="", before=None, limit=10)
    assert (kept.subject, kept.sent_to) == (str(order.id), await world.broker.identity())
    await process.receive_once()
    await process.carry()
    assert await world.deliveries(Lane.EVENT) == 0


async def test_an_event_that_was_handled_before_it_was_marked_does_not_come_back(world: World, one: Relaying) -> None:
    """The consumer may be faster than the relay's own note that the broker took it."""
    order = await one.process.place_order()
    one.broker.meanwhile = one.process.receive_once

    await one.process.carry()

    stored = await world.store.orders.get(order.id)
    assert stored is not None
    assert stored.version == 2
    assert await world.deliveries(Lane.EVENT) == 0


async def test_another_broker_is_given_again_what_was_not_handled_in_order(world: World, process: Process) -> None:
    events = await record(world, *"aabacb", name=KEPT)
    await process.carry()
    await world.lose_the_broker()
    await world.clock.advance(6)
    process = await world.process()

    await process.carry()

    for subject in "abc":
        assert world.published(subject) == [event.id for event in events if event.subject == subject]


async def test_a_running_relay_notices_another_broker(world: World, one: Relaying) -> None:
    first, second = await record(world, "a", "a", name=KEPT)
    await one.relay.step()
    await world.lose_the_broker()
    one.broker.inner = world.broker

    await one.process.carry()

    assert world.published("a") == [first.id, second.id]


async def test_a_broker_that_was_wiped_is_given_again_what_it_did_not_bring_for_a_minute(
    world: World, one: Relaying
) -> None:
    events = await record(world, "a", "a", name=KEPT)
    await one.process.carry()
    one.broker.counted = 0  # the same broker, as it says, and nothing in it
    await world.clock.advance(59)
    await one.process.carry()
    assert len(world.published("a")) == 2

    await world.clock.advance(16)
    await one.process.carry()

    assert world.published("a") == [event.id for event in events] * 2


async def test_a_broker_with_a_backlog_is_not_given_again_what_it_has(world: World, one: Relaying) -> None:
    await record(world, "a", name=KEPT)
    await one.process.carry()

    await world.clock.advance(3_600)
    await one.process.carry()

    assert len(world.published("a")) == 1


async def test_to_look_back_survives_that_one_of_them_is_handled_meanwhile(world: World, one: Relaying) -> None:
    """A busy consumer removes what the relay has just read; the others are sent again nevertheless."""
    first, second = await record(world, "a", "b", name=KEPT)
    await one.process.carry()
    await world.lose_the_broker()
    one.broker.inner = world.broker

    async def handle_the_first(name: str) -> None:
        if name == "sent_events":
            await world.store.commit([Remove(first.id, None)])

    one.store.after_reading = handle_the_first

    await one.process.carry()

    assert world.published() == [second.id]


async def test_to_look_back_at_much_is_no_standstill(
    world: World, one: Relaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of brokers all that the old one had is sent again, which may take minutes."""
    await record(world, *"abcd", name=KEPT)
    await one.process.carry()
    await world.lose_the_broker()
    one.broker.inner = world.broker
    monkeypatch.setattr(relaying, "EVENTS_AT_ONCE", 1)
    troubles: list[object] = []

    async def take_long(_: object) -> None:
        await world.clock.advance(STUCK_SECONDS / 2)
        troubles.append(one.relay.in_hand.trouble)

    one.store.before_commit = take_long

    with one.relay.in_hand.working():
        await one.relay.step()

    assert len(troubles) >= 4
    assert set(troubles) == {None}


async def test_a_type_that_nobody_reacts_to_any_more_is_not_kept_for_ever(world: World, process: Process) -> None:
    await record(world, "a", name=KEPT)
    await process.carry()
    await process.event_relay.stop()
    newer = await world.process(reactions={}, broker=(broker := FlakyBroker(world.broker)))
    broker.counted = 0
    await newer.carry()

    await world.clock.advance(76)
    await newer.carry()

    assert await world.deliveries(Lane.EVENT) == 0


async def test_what_was_refused_after_it_had_arrived_holds_nobody_up_once_it_is_handled(
    world: World, one: Relaying
) -> None:
    """As when the answer was lost and the broker's limits were changed before it was sent again."""
    order = await one.process.place_order()
    one.broker.loses_answers = True
    with pytest.raises(Unavailable):
        await one.relay.step()
    one.broker.judge = lambda _message, _batch: Rejected("too large now")
    await one.relay.step()
    (behind,) = await record(world, str(order.id))
    assert len(await world.desk()) == 2  # of the user and of the order

    await one.process.receive_once()
    one.broker.loses_answers, one.broker.judge = False, lambda _message, _batch: None
    await one.process.carry()

    assert behind.id in world.published(str(order.id))
    assert [dead.topic for dead in await world.desk()] == ["user_events"]


# --- several relays ---------------------------------------------------------------------------------------------------


async def test_relays_share_the_partitions_and_each_event_is_sent_by_one(
    world: World, one: Relaying, other: Relaying
) -> None:
    for _ in range(3):
        await one.relay.step()
        await other.relay.step()
        await world.clock.advance(2)
    events = await record(world, *(f"subject-{number}" for number in range(40)))

    await one.process.carry()
    await other.process.carry()

    sent = [[message.attributes["id"] for batch in each.broker.batches for message in batch] for each in (one, other)]
    assert all(sent)
    assert sorted(sent[0] + sent[1]) == sorted(event.id for event in events)


async def test_a_relay_that_stops_hands_over_at_the_next_renewal(world: World, one: Relaying, other: Relaying) -> None:
    await one.relay.step()
    (event,) = await record(world, "a")
    assert not await other.relay.step()
    assert world.published() == []

    await one.relay.stop()
    await world.clock.advance(2)
    await other.relay.step()

    assert world.published() == [event.id]


async def test_a_relay_that_dies_is_replaced_when_its_leases_have_run_out(
    world: World, one: Relaying, other: Relaying
) -> None:
    await one.relay.step()
    (event,) = await record(world, "a")
    one.store.raised = away("this process is dead")
    await world.clock.advance(5)
    assert not await other.relay.step()

    # One renewal later it also knows that it is alone.
    await world.clock.advance(2)
    await other.relay.step()
    await world.clock.advance(2)
    await other.relay.step()

    assert world.published() == [event.id]


async def test_a_stale_relay_can_neither_mark_nor_reorder(world: World, one: Relaying, other: Relaying) -> None:
    """Frozen while publishing; another has taken over, published and marked when it wakes."""
    first, second = await record(world, "a", "a")
    frozen = asyncio.Event()
    woken = asyncio.Event()

    async def freeze() -> None:
        frozen.set()
        one.store.raised = away("frozen")
        await woken.wait()

    one.broker.meanwhile = freeze
    stale = asyncio.create_task(one.relay.step())
    await frozen.wait()
    for _ in range(5):
        await world.clock.advance(2)
        await other.process.carry()
    before = await world.store.ledger.counts()

    one.store.raised = None
    woken.set()
    await stale

    assert world.published("a") == [first.id, first.id, second.id]
    assert await world.store.ledger.counts() == before


async def test_a_stale_relay_cannot_kill_what_another_has_sent(world: World, one: Relaying, other: Relaying) -> None:
    await one.relay.step()
    (event,) = await record(world, "a", name=KEPT)
    one.broker.judge = rejecting(event)

    async def lose_the_lease() -> None:
        await one.process.shares.give_back()
        await other.process.carry()

    one.broker.meanwhile = lose_the_lease

    await one.relay.step()

    kept = await row(world, event)
    assert kept is not None
    assert kept.state is State.SENT
    assert not await world.desk()


async def test_a_lease_that_was_lost_and_won_again_proves_nothing(world: World, one: Relaying, other: Relaying) -> None:
    """What another did in between would be undone."""
    (event,) = await record(world, "a", name=KEPT)
    other.broker.judge = rejecting(event)

    async def lose_it_and_win_it_again() -> None:
        one.broker.meanwhile = None
        await one.process.shares.give_back()
        await other.process.carry()
        await other.relay.stop()
        await one.process.shares.hold(await world.broker.identity())

    one.broker.meanwhile = lose_it_and_win_it_again

    await one.relay.step()

    assert [each.id for each in await world.desk()] == [event.id]


async def test_a_relay_whose_mark_is_refused_sends_again_when_it_holds_the_lease_again(
    world: World, one: Relaying
) -> None:
    (event,) = await record(world, "a")
    one.broker.meanwhile = one.process.shares.give_back
    await one.relay.step()
    assert await row(world, event) is not None
    one.broker.meanwhile = None

    await one.process.carry()

    assert await row(world, event) is None


async def test_publishing_may_take_longer_than_a_lease(world: World, one: Relaying) -> None:
    """Over a slow link a batch takes as long as it takes; what it carried is marked, and not sent again and again."""
    events = await record(world, "a", "b", "a")

    async def slow() -> None:
        await world.clock.sleep(30)

    one.broker.meanwhile = slow

    await world.clock.run(one.process.carry())

    assert sorted(world.published()) == sorted(event.id for event in events)
    assert await world.deliveries(Lane.EVENT) == 0


async def test_nobody_takes_over_from_a_relay_that_publishes_slowly(
    world: World, one: Relaying, other: Relaying
) -> None:
    await record(world, "a")
    one.broker.meanwhile = lambda: world.clock.sleep(30)
    slow = asyncio.create_task(one.relay.step())
    await world.clock.settle()

    for _ in range(14):
        await world.clock.advance(2)
        await other.relay.step()

    assert other.broker.batches == []
    await world.clock.advance(2)
    assert await slow


async def test_a_relay_that_is_cancelled_while_publishing_leaves_nothing_running(world: World, one: Relaying) -> None:
    (event,) = await record(world, "a")
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    one.broker.meanwhile = slow
    publishing = asyncio.create_task(one.relay.step())
    await world.clock.settle()

    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)

    assert ended.is_set()
    assert await row(world, event) is not None


async def test_relays_of_two_brokers_never_act_together(world: World, one: Relaying, other: Relaying) -> None:
    """One would stamp with its broker what the other is about to send again to its own, for ever."""
    await one.relay.step()
    await world.lose_the_broker()
    other.broker.inner = world.broker
    one_broker_alone = one.broker.inner
    await one_broker_alone.start()
    (event,) = await record(world, "a", name=KEPT)

    assert not await other.relay.step()
    await one.relay.step()

    kept = await row(world, event)
    assert kept is not None
    assert kept.sent_to == await one_broker_alone.identity()
    await one.relay.stop()
    await other.process.carry()
    assert world.published("a") == [event.id]


async def test_the_relays_of_the_new_broker_wait_for_all_of_the_old(world: World) -> None:
    old = [await Relaying.begin(world) for _ in range(2)]
    for _ in range(2):
        for each in old:
            await each.relay.step()
        await world.clock.advance(2)
    former = world.broker
    await world.lose_the_broker()
    await former.start()
    new = await Relaying.begin(world)

    await old[0].relay.stop()
    assert not await new.process.shares.hold(await world.broker.identity())
    await old[1].relay.stop()

    assert await new.process.shares.hold(await world.broker.identity())


async def test_a_relay_that_follows_its_broker_lets_go_of_the_old_side(world: World, one: Relaying) -> None:
    await one.relay.step()
    await world.lose_the_broker()
    one.broker.inner = world.broker
    (event,) = await record(world, "a")

    await one.relay.step()

    assert world.published() == [event.id]


# --- the store --------------------------------------------------------------------------------------------------------


async def test_what_was_published_and_could_not_be_marked_is_sent_again(world: World, one: Relaying) -> None:
    (event,) = await record(world, "a")
    one.store.fail_next(away())
    with pytest.raises(Unavailable):
        await one.relay.step()

    await one.process.carry()

    assert world.published("a") == [event.id, event.id]
    assert await world.deliveries(Lane.EVENT) == 0


async def test_one_change_behind_its_back_costs_the_others_a_duplicate_at_most(world: World, one: Relaying) -> None:
    first, second = await record(world, "a", "b")
    one.broker.judge = rejecting(first)

    async def discard_the_first() -> None:
        one.broker.meanwhile = None
        await world.store.commit([Remove(first.id, None)])

    one.broker.meanwhile = discard_the_first

    await one.process.carry()

    assert set(world.published()) == {second.id}
    assert await world.deliveries(Lane.EVENT) == 0


async def test_a_mark_that_is_refused_is_not_raised(world: World, one: Relaying) -> None:
    await record(world, "a")

    async def refuse(writes: Sequence[Write]) -> None:
        if any(isinstance(write, Remove | Replace) for write in writes):
            one.store.before_commit = None
            await one.process.shares.give_back()

    one.store.before_commit = refuse

    assert await one.relay.step()
