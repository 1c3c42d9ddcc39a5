import asyncio
from collections.abc import Sequence

import pytest

from domain.delivery.dead_letters import DeadLetterNotFound, DeadLetters
from domain.model.events import OrderCreated
from domain.model.order import Order
from ports.deliveries import Delivery, Lane, State
from ports.errors import Conflict, Precondition, Rejected, Unavailable
from ports.message import Message
from ports.persistence import Record
from tests.builders import a_delivery, a_task, a_user, an_id, an_order
from tests.unit.delivery.builders import (
    FlakyBroker,
    FlakyPersistence,
    Process,
    Reacting,
    World,
    a_batch,
    away,
    created,
)


@pytest.fixture
def reacting() -> Reacting:
    return Reacting()


@pytest.fixture
async def process(world: World, reacting: Reacting) -> Process:
    return await world.process(reactions={OrderCreated: reacting})


@pytest.fixture
def desk(process: Process) -> DeadLetters:
    return process.dead_letters


@pytest.fixture
def order() -> Order:
    return an_order(user=a_user())


async def kill(world: World, delivery: Delivery) -> Delivery:
    await world.store.commit([Record(delivery.died("it cannot be", world.clock.now(), attempts=3))])
    return await row(world, delivery)


async def keep_dead(process: Process, reacting: Reacting, *messages: Message) -> Delivery:
    """The first of them is dead, and the others wait behind it."""
    reacting.next_failures.append(Rejected("it cannot be"))
    await process.receive.handle(a_batch(*messages), first=False)
    reacting.ran.clear()
    (dead,) = (await process.dead_letters.page()).items
    return dead


async def row(world: World, delivery: Delivery) -> Delivery:
    found = await world.store.ledger.get(delivery.id)
    assert found is not None
    return found


# --- looking ----------------------------------------------------------------------------------------------------------


async def test_the_dead_of_all_lanes_are_listed_oldest_first_page_by_page(world: World, desk: DeadLetters) -> None:
    dead = [await kill(world, make()) for make in (a_delivery, a_task, a_delivery, a_task, a_delivery)]
    await world.store.commit([Record(a_delivery())])

    first = await desk.page(limit=3)
    assert first.next_after is not None
    second = await desk.page(after=first.next_after, limit=3)

    assert [*first.items, *second.items] == dead
    assert second.next_after is None


async def test_one_is_shown_with_its_story(world: World, desk: DeadLetters) -> None:
    dead = await kill(world, a_delivery())

    shown = await desk.get(dead.id)

    assert shown == dead
    assert [(each.what, each.why) for each in shown.story] == [("dead", "it cannot be")]


async def test_what_is_not_dead_is_not_found(world: World, desk: DeadLetters) -> None:
    alive = a_delivery()
    await world.store.commit([Record(alive)])

    for id_ in (alive.id, str(an_id()), "", "no id"):
        for action in (desk.get, desk.replay, desk.discard):
            with pytest.raises(DeadLetterNotFound):
                await action(id_)


# --- replay -----------------------------------------------------------------------------------------------------------


async def test_a_replayed_message_goes_before_what_waits_behind_it(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    dead = await keep_dead(process, reacting, *(created(order, sequence=str(number)) for number in (1, 2, 3)))

    await process.dead_letters.replay(dead.id)
    await process.receive.handle(a_batch(created(order, sequence="4")), first=False)
    while await process.retry.step():
        pass

    assert [event.sequence for event in reacting.ran] == [1, 2, 3, 4]
    assert await world.deliveries(Lane.RECEIVED) == 0


async def test_a_replay_gives_all_attempts_back_and_leaves_a_trace(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    dead = await keep_dead(process, reacting, created(order))
    reacting.failing[str(order.id)] = ValueError("still not")

    await process.dead_letters.replay(dead.id)
    for _ in range(3):
        await process.retry.step()
        await world.clock.advance(60)

    (again,) = await world.desk()
    assert (again.id, again.attempts) == (dead.id, 3)
    assert [each.what for each in again.story] == ["received", "dead", "replayed", "failed", "failed", "dead"]


async def test_a_replayed_event_is_published_before_those_that_wait_behind_it(world: World) -> None:
    broker = FlakyBroker(world.broker)
    process = await world.process(broker=broker)
    events = [a_delivery(subject="a", attributes={"id": str(number), "subject": "a"}) for number in range(3)]
    await world.store.commit([Record(event) for event in events])
    broker.judge = lambda message, _batch: Rejected("no") if message.attributes["id"] == "0" else None
    await process.carry()
    assert world.published() == []

    broker.judge = lambda _message, _batch: None
    await process.dead_letters.replay(events[0].id)
    await process.event_relay.step()
    await process.carry()

    assert len(broker.batches[-1]) == 1
    assert world.published("a") == ["0"] + [event.attributes["id"] for event in events[1:]]


async def test_a_replayed_task_is_performed_again(world: World, process: Process) -> None:
    user = await process.register_user(a_user().email, "Ann")
    world.mailer.fail_next(Rejected("no such mailbox"))
    await process.memory_queue.perform_all()
    (dead,) = await world.desk()
    assert world.mailer.sent == []

    await process.dead_letters.replay(dead.id)
    await process.task_relay.step()
    await process.memory_queue.perform_all()

    (mail,) = world.mailer.sent
    assert mail.to == user.email
    assert mail.message_id == f"<{dead.id}@crossdock>"
    assert not await world.desk()


async def test_to_replay_twice_is_told(process: Process, reacting: Reacting, order: Order) -> None:
    dead = await keep_dead(process, reacting, created(order))
    await process.dead_letters.replay(dead.id)

    with pytest.raises(DeadLetterNotFound):
        await process.dead_letters.replay(dead.id)


# --- discard ----------------------------------------------------------------------------------------------------------


async def test_what_waits_behind_a_discarded_one_goes_on_in_order(
    process: Process, reacting: Reacting, order: Order
) -> None:
    dead = await keep_dead(process, reacting, *(created(order, sequence=str(number)) for number in (1, 2, 3)))

    await process.dead_letters.discard(dead.id)
    while await process.retry.step():
        pass

    assert [event.sequence for event in reacting.ran] == [2, 3]


async def test_a_lane_whose_only_message_was_discarded_takes_new_ones_directly(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    dead = await keep_dead(process, reacting, created(order))

    await process.dead_letters.discard(dead.id)
    await process.receive.handle(a_batch(created(order)), first=False)

    assert len(reacting.ran) == 1
    assert await world.deliveries(Lane.RECEIVED) == 1  # the one that was given up


async def test_a_discarded_one_leaves_the_list_and_stays_for_the_record(
    world: World, process: Process, desk: DeadLetters
) -> None:
    dead = await kill(world, a_task())

    await desk.discard(dead.id)

    assert (await desk.page()).items == []
    shown = await desk.get(dead.id)
    assert shown.state is State.DISCARDED
    assert [each.what for each in shown.story] == ["dead", "discarded"]
    with pytest.raises(DeadLetterNotFound):
        await desk.discard(dead.id)
    with pytest.raises(DeadLetterNotFound):
        await desk.replay(dead.id)
    assert not await process.task_relay.step()


async def test_what_waits_behind_two_dead_ones_waits_for_both(world: World) -> None:
    broker = FlakyBroker(world.broker)
    process = await world.process(broker=broker)
    events = [a_delivery(subject="a", attributes={"id": str(number), "subject": "a"}) for number in range(3)]
    await world.store.commit([Record(event) for event in events])
    broker.judge = lambda _message, _batch: Rejected("no")
    await process.carry()
    await process.dead_letters.discard(events[0].id)
    await process.carry()
    assert [dead.id for dead in await world.desk()] == [events[1].id]

    broker.judge = lambda _message, _batch: None
    assert not await process.event_relay.step()
    await process.dead_letters.discard(events[1].id)
    await process.carry()

    assert world.published() == ["2"]


async def test_who_listens_is_told_and_who_fails_to_listen_does_no_harm(world: World, desk: DeadLetters) -> None:
    told: list[Delivery] = []

    async def note(changed: Sequence[Delivery]) -> None:
        told.extend(changed)
        raise RuntimeError("nobody there")

    desk.listeners.append(note)
    first, second = await kill(world, a_delivery()), await kill(world, a_task())

    await desk.replay(first.id)
    await desk.discard(second.id)

    assert [(each.id, each.state) for each in told] == [(first.id, State.READY), (second.id, State.DISCARDED)]


# --- races ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", ["replay", "discard"])
async def test_of_two_desks_one_wins_and_the_other_is_told(
    world: World, process: Process, reacting: Reacting, order: Order, others: str
) -> None:
    dead = await keep_dead(process, reacting, created(order))
    desks = [DeadLetters(world.store, world.clock) for _ in range(5)]

    outcomes = await asyncio.gather(
        desks[0].replay(dead.id),
        *(getattr(each, others)(dead.id) for each in desks[1:]),
        return_exceptions=True,
    )

    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, DeadLetterNotFound) for outcome in outcomes) == 4
    assert [each.what for each in (await row(world, dead)).story].count("dead") == 1


async def test_a_lane_that_moves_on_meanwhile_is_looked_at_again(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    """A message is being kept behind the dead one while it is replayed."""
    store = FlakyPersistence(world.store)
    desk = DeadLetters(store, world.clock)
    dead = await keep_dead(process, reacting, created(order, sequence="1"))

    async def another_is_kept(_writes: Sequence[object]) -> None:
        store.before_commit = None
        await process.receive.handle(a_batch(created(order, sequence="2")), first=False)

    store.before_commit = another_is_kept

    await desk.replay(dead.id)
    while await process.retry.step():
        pass

    assert [event.sequence for event in reacting.ran] == [1, 2]


async def test_a_consumer_that_meets_a_replay_keeps_the_order(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    """The message was about to be handled past a lane that had just been emptied and filled again."""
    dead = await keep_dead(process, reacting, created(order, sequence="1"))
    store = FlakyPersistence(world.store)
    consumer = await world.process(store=store, reactions={OrderCreated: reacting})

    async def discard_meanwhile(_writes: Sequence[object]) -> None:
        store.before_commit = None
        await process.dead_letters.discard(dead.id)

    store.before_commit = discard_meanwhile

    await consumer.receive.handle(a_batch(created(order, sequence="2")), first=False)
    while await process.retry.step():
        pass

    assert [event.sequence for event in reacting.ran] == [2]
    assert not [each for each in world.store._store.deliveries._rows.values() if each.state is State.BLOCKED]


async def test_a_store_that_is_away_is_told_and_nothing_is_changed(world: World) -> None:
    store = FlakyPersistence(world.store)
    desk = DeadLetters(store, world.clock)
    dead = await kill(world, a_task())
    store.fail_next(away())

    with pytest.raises(Unavailable):
        await desk.replay(dead.id)

    assert await row(world, dead) == dead


async def test_a_conflict_is_looked_at_again(world: World) -> None:
    store = FlakyPersistence(world.store)
    desk = DeadLetters(store, world.clock)
    dead = await kill(world, a_task())
    store.fail_next(*[Conflict(Precondition.TOKEN_IS_CURRENT)] * 3)

    await desk.replay(dead.id)

    assert (await row(world, dead)).state is State.READY
