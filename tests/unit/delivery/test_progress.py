"""Health that measures progress: what hangs is told within fifteen seconds, and a quiet hour tells nothing."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from domain.delivery.in_hand import STUCK_SECONDS, InHand
from domain.delivery.loop import Loop
from domain.delivery.receive import PARKED_MOST
from domain.delivery.stages import ASK_SECONDS, BEHIND_SECONDS, Stage, Stages
from domain.model import tasks
from domain.model.events import OrderCreated
from ports.deliveries import Delivery, Lane
from ports.errors import Unavailable
from ports.persistence import Record, Replace
from ports.trouble import Cause, Trouble
from tests.builders import a_delivery, a_received, a_task, an_email
from tests.clock import ManualClock
from tests.unit.delivery.builders import (
    GROUP,
    PARTITIONS,
    FlakyBroker,
    FlakyPersistence,
    UnavailableQueue,
    World,
    a_created,
    away,
)

SEEN_SECONDS = 15.0
HOUR = 3600


@asynccontextmanager
async def running(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    running = [asyncio.create_task(work) for work in works]
    yield
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def cause(trouble: Trouble | None) -> Cause | None:
    return None if trouble is None else trouble.cause


async def never(*_: object) -> None:
    await asyncio.Event().wait()


# --- what is in hand --------------------------------------------------------------------------------------------------


async def test_what_does_not_end_is_told_with_its_name_and_what_ends_is_forgotten(world: World) -> None:
    clock = world.clock
    in_hand = InHand(clock, "task {}")
    with in_hand.working("1"):
        await clock.advance(STUCK_SECONDS - 1)
        with in_hand.working("2"):
            early = in_hand.trouble
            await clock.advance(1)
            told = in_hand.trouble
    after = in_hand.trouble

    assert (early, after) == (None, None)
    assert told == "task 1 has not ended for 10 s"
    assert cause(told) is Cause.STUCK


async def test_a_long_work_whose_steps_end_is_not_stuck(world: World) -> None:
    in_hand = InHand(world.clock, "a step")
    with in_hand.working():
        for _ in range(10):
            await world.clock.advance(STUCK_SECONDS - 1)
            in_hand.moved()

        assert in_hand.trouble is None


async def test_a_loop_whose_step_hangs_says_so_and_is_well_when_it_goes_on(world: World) -> None:
    gate = asyncio.Event()

    async def step() -> bool:
        await gate.wait()
        return False

    loop = Loop("relay", step, world.clock)
    async with running(loop.run()):
        await world.clock.advance(SEEN_SECONDS)
        hanging = loop.trouble
        gate.set()
        await world.clock.advance(2)

        assert cause(hanging) is Cause.STUCK
        assert loop.trouble is None


async def test_a_loop_with_nothing_to_do_for_an_hour_is_well(world: World) -> None:
    async def step() -> bool:
        return False

    loop = Loop("relay", step, world.clock)
    async with running(loop.run()):
        for _ in range(12):
            await world.clock.advance(HOUR / 12)

            assert loop.trouble is None


# --- receiving --------------------------------------------------------------------------------------------------------


async def test_a_reaction_that_does_not_return_is_told_while_it_hangs_and_no_longer(world: World) -> None:
    gate = asyncio.Event()

    async def hangs(*_: object) -> None:
        await gate.wait()

    process = await world.process(reactions={OrderCreated: hangs})
    await process.place_order()
    await process.carry()
    (message,) = [each for each in world.broker.published if each.topic == "order_events"]
    async with running(process.receive.run()):
        await world.clock.advance(12)
        hanging = process.receive.reactions.trouble
        receiving = process.receive.trouble
        gate.set()
        await world.clock.advance(2)

        assert hanging == f"the reaction to message {message.attributes['id']} has not ended for 12 s"
        assert cause(hanging) is Cause.STUCK
        assert receiving is None  # others go on
        assert process.receive.reactions.trouble is None


async def test_a_partition_that_pauses_says_why_until_it_goes_on(world: World) -> None:
    store = FlakyPersistence(world.store)
    process = await world.process(store=store)
    await process.place_order()
    await process.carry()
    store.raised = away()
    async with running(process.receive.run()):
        await world.clock.advance(5)
        paused = process.receive.reactions.trouble
        store.raised = None
        await world.clock.advance(SEEN_SECONDS)

        assert cause(paused) is Cause.OUT_OF_REACH
        assert process.receive.reactions.trouble is None


async def test_a_full_desk_is_told_as_one(world: World) -> None:
    process = await world.process(reactions={OrderCreated: never})
    await world.store.commit([Record(a_received(group=GROUP)) for _ in range(PARKED_MOST)])
    await world.broker.publish([a_created(id="late", time="2001-01-01T00:00:00Z")])
    async with running(process.receive.run()):
        await world.clock.advance(SEEN_SECONDS + 3)

        assert cause(process.receive.reactions.trouble) is Cause.DESK_FULL


async def test_a_consumer_with_nothing_to_receive_for_an_hour_is_well(world: World) -> None:
    process = await world.process()
    async with running(process.receive.run()):
        await world.clock.advance(HOUR)

        assert process.receive.trouble is None
        assert process.receive.reactions.trouble is None


# --- tasks ------------------------------------------------------------------------------------------------------------


async def test_a_work_that_hangs_is_told_long_before_it_has_failed(world: World) -> None:
    process = await world.process(
        work={tasks.SendWelcomeEmail: never, tasks.SendOrderConfirmation: never}, performs_here=False
    )
    await process.register_user(an_email(), "Ann")
    (task,) = await world.store.ledger.due(Lane.TASK, now=world.clock.now(), limit=10)
    async with running(process.perform(task)):
        await world.clock.advance(SEEN_SECONDS)

        assert cause(process.perform.trouble) is Cause.STUCK
        assert task.id in str(process.perform.trouble)


async def test_a_queue_that_takes_nothing_is_told_by_who_hands_over(world: World) -> None:
    """The relay itself goes on, and offers them again and again."""
    queue = UnavailableQueue(Unavailable("the queue is away"))
    process = await world.process(queue=queue, performs_here=False)
    await world.store.commit([Record(a_task(recorded_at=world.clock.now(), due_at=world.clock.now()))])
    relay = process.task_relay
    loop = Loop("task_relay", relay.step, world.clock, part=relay)
    async with running(loop.run()):
        await world.clock.advance(60)
        refused = loop.trouble
        queue.outcome = None
        await world.clock.advance(SEEN_SECONDS)

        assert refused == "the queue is away"
        assert loop.trouble is None


async def test_a_queue_that_was_away_is_not_told_of_for_ever_when_there_is_nothing_to_hand_over(world: World) -> None:
    queue = UnavailableQueue(Unavailable("the queue is away"))
    process = await world.process(queue=queue, performs_here=False)
    task = a_task(recorded_at=world.clock.now(), due_at=world.clock.now())
    await world.store.commit([Record(task)])
    await process.task_relay.step()

    before = process.task_relay.trouble
    await world.clock.advance(30)

    assert cause(before) is Cause.OUT_OF_REACH
    assert process.task_relay.trouble is None


# --- stages -----------------------------------------------------------------------------------------------------------


def stages_of(world: World) -> Stages:
    return Stages(world.store, world.clock, list(Stage), partitions=PARTITIONS, group=GROUP)


async def behind(stages: Stages) -> set[Stage]:
    """The stages that do not move."""
    return {stage for stage in Stage if await stages.trouble(stage) is not None}


async def watched(stages: Stages, clock: ManualClock, seconds: float) -> set[Stage]:
    """The same, for somebody who has looked every two seconds."""
    found: set[Stage] = set()
    for _ in range(round(seconds / 2)):
        found = await behind(stages)
        await clock.advance(2)
    return found


def waiting(stage: Stage, clock: ManualClock) -> Delivery:
    """Something that waits there."""
    now = clock.now()
    when: dict[str, Any] = {"recorded_at": now, "due_at": now}
    match stage:
        case Stage.PUBLISHING:
            return a_delivery(**when)
        case Stage.HANDLING:
            return a_delivery(**when).sent("broker-1", now)
        case Stage.HANDING_OVER:
            return a_task(**when)
        case Stage.PERFORMING:
            return a_task(**when).handed_over(now)
        case Stage.RETRYING:
            return a_received(group=GROUP, **when)


@pytest.mark.parametrize("stage", Stage)
async def test_a_stage_whose_first_stays_the_first_is_behind(world: World, stage: Stage) -> None:
    stages = stages_of(world)
    delivery = waiting(stage, world.clock)
    await watched(stages, world.clock, 10)
    await world.store.commit([Record(delivery)])

    early = await watched(stages, world.clock, BEHIND_SECONDS - ASK_SECONDS)
    late = await watched(stages, world.clock, SEEN_SECONDS - BEHIND_SECONDS + ASK_SECONDS)

    assert early == set()
    assert stage in late
    assert delivery.id in str(await stages.trouble(stage))
    assert late <= {stage, Stage.PERFORMING}  # a task that is not even handed over is not performed either


async def test_however_much_waits_it_is_well_while_it_moves(world: World) -> None:
    stages = stages_of(world)
    rows = [waiting(Stage.PUBLISHING, world.clock) for _ in range(20)]
    await world.store.commit([Record(row) for row in rows])

    for row in rows:
        stored = await world.store.ledger.get(row.id)
        assert stored is not None
        assert await watched(stages, world.clock, BEHIND_SECONDS - 2) == set()
        await world.store.commit([Replace(stored.sent(f"broker-{row.id}", world.clock.now()), stored.token)])
        await world.store.commit([Replace(stored.discarded(world.clock.now()), stored.token + 1)])


async def test_what_has_its_time_still_to_come_is_not_behind(world: World) -> None:
    stages = stages_of(world)
    later = waiting(Stage.RETRYING, world.clock)
    task = waiting(Stage.HANDING_OVER, world.clock)
    far = world.clock.now().replace(year=2027)
    await world.store.commit([Record(later.due(far)), Record(task.due(far))])

    assert await watched(stages, world.clock, 60) == set()


async def test_an_hour_without_anything_is_an_hour_without_trouble(world: World) -> None:
    stages = stages_of(world)

    for _ in range(60):
        assert await watched(stages, world.clock, 60) == set()


async def test_a_stage_is_well_again_as_soon_as_it_has_moved(world: World) -> None:
    stages = stages_of(world)
    delivery = waiting(Stage.PUBLISHING, world.clock)
    await world.store.commit([Record(delivery)])
    stuck = await watched(stages, world.clock, 30)

    process = await world.process()
    await process.carry()
    await process.receive_once()

    assert stuck == {Stage.PUBLISHING}
    assert await watched(stages, world.clock, 6) == set()


async def test_the_store_is_asked_once_for_all_who_look(world: World) -> None:
    store = FlakyPersistence(world.store)
    stages = Stages(store, world.clock, list(Stage), partitions=PARTITIONS, group=GROUP)
    asked = 0
    honest = store.ledger.first_sent

    async def counting() -> Any:
        nonlocal asked
        asked += 1
        return await honest()

    store.ledger.first_sent = counting  # type: ignore[method-assign]

    for _ in range(10):
        await asyncio.gather(*(stages.trouble(stage) for stage in Stage))
        await world.clock.advance(ASK_SECONDS / 2)

    assert asked == 5


async def test_a_store_that_is_away_is_told_by_who_asks(world: World) -> None:
    store = FlakyPersistence(world.store)
    store.raised = away()
    stages = Stages(store, world.clock, list(Stage), partitions=PARTITIONS, group=GROUP)

    with pytest.raises(Unavailable):
        await stages.trouble(Stage.PUBLISHING)


async def test_a_relay_whose_broker_hangs_is_stuck_and_not_only_slow(world: World) -> None:
    broker = FlakyBroker(world.broker)
    process = await world.process(broker=broker)
    await process.place_order()
    broker.publish = never  # type: ignore[assignment,method-assign]
    relay = process.event_relay
    loop = Loop("event_relay", relay.step, world.clock, part=relay)
    async with running(loop.run()):
        await world.clock.advance(SEEN_SECONDS)

        assert cause(loop.trouble) is Cause.STUCK
