import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from domain.delivery import retry as retrying
from domain.delivery.failures import PROCESS_ENDED
from domain.delivery.in_hand import STUCK_SECONDS
from domain.delivery.loop import Loop
from domain.model.events import OrderCreated
from domain.model.order import Order
from ports.deliveries import Delivery, Lane, State
from ports.delivery_counts import Step
from ports.errors import Conflict, Precondition, Rejected, Unavailable, Unknown
from ports.message import Message
from ports.persistence import Record, Remove, Replace, TakeInHand
from tests.builders import a_received, a_user, an_order
from tests.unit.delivery.builders import (
    GROUP,
    MOST,
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


@pytest.fixture
def reacting() -> Reacting:
    return Reacting()


@pytest.fixture
async def process(world: World, store: FlakyPersistence, reacting: Reacting) -> Process:
    return await world.process(store=store, reactions={OrderCreated: reacting})


@pytest.fixture
def order() -> Order:
    return an_order(user=a_user())


async def keep(world: World, process: Process, reacting: Reacting, *messages: Message) -> list[Delivery]:
    """Kept rows: the first of each subject has failed once and is due in about a second."""
    failing = reacting.failing
    reacting.failing = {message.subject or "": ValueError("no") for message in messages}
    await process.receive.handle(a_batch(*messages), first=False)
    reacting.failing = failing
    reacting.ran.clear()
    rows = [row for row in world.store._store.deliveries._rows.values() if row.lane is Lane.RECEIVED]
    await world.clock.advance(1.3)
    return rows


async def row(world: World, kept: Delivery) -> Delivery:
    found = await world.store.ledger.get(kept.id)
    assert found is not None
    return found


async def retry_all(process: Process) -> None:
    while await process.retry.step():
        pass


async def effects(world: World) -> int:
    return await world.deliveries(Lane.TASK)


# --- handling again ---------------------------------------------------------------------------------------------------


async def test_what_failed_is_handled_again_when_it_is_due_and_is_then_gone(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    await keep(world, process, reacting, created(order))

    assert await process.retry.step()

    assert await world.deliveries(Lane.RECEIVED) == 0
    assert await effects(world) == 1
    assert not await process.retry.step()


async def test_what_waits_behind_it_is_handled_in_order_and_each_once(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    await keep(world, process, reacting, *(created(order, sequence=str(number)) for number in (1, 2, 3)))

    await retry_all(process)

    assert [event.sequence for event in reacting.ran] == [1, 2, 3]
    assert await world.deliveries(Lane.RECEIVED) == 0


async def test_a_lane_that_is_empty_again_takes_new_messages_directly(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    await keep(world, process, reacting, created(order))
    await process.retry.step()

    await process.receive.handle(a_batch(created(order)), first=False)

    assert len(reacting.ran) == 2
    assert await world.deliveries(Lane.RECEIVED) == 0


async def test_the_attempt_is_counted_when_it_begins(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    (kept,) = await keep(world, process, reacting, created(order))
    seen: list[Delivery] = []

    async def look(_event: OrderCreated) -> None:
        seen.append(await row(world, kept))

    reacting.meanwhile = look

    await process.retry.step()

    (during,) = seen
    assert (during.attempts, during.holder) == (2, process.name)


async def test_two_consumers_handle_it_once(world: World, process: Process, reacting: Reacting, order: Order) -> None:
    await keep(world, process, reacting, created(order))
    others = [await world.process(reactions={OrderCreated: reacting}) for _ in range(4)]
    reacting.meanwhile = lambda _event: asyncio.sleep(0)

    await asyncio.gather(process.retry.step(), *(other.retry.step() for other in others))

    assert len(reacting.ran) == 1


async def test_another_group_keeps_its_own(world: World, process: Process, reacting: Reacting) -> None:
    now = world.clock.now()
    await world.store.commit([Record(a_received(group="another", recorded_at=now, due_at=now))])

    assert not await process.retry.step()
    assert reacting.ran == []


# --- failing ----------------------------------------------------------------------------------------------------------


async def test_what_always_fails_is_tried_after_growing_delays_and_then_dead_while_others_flow(
    world: World, reacting: Reacting, order: Order
) -> None:
    process = await world.process(reactions={OrderCreated: reacting}, most=8)
    reacting.failing[str(order.id)] = ValueError("no such thing")
    await process.receive.handle(a_batch(created(order), created(order), a_created()), first=False)
    (kept, *_) = await world.store.ledger.due(
        Lane.RECEIVED, now=world.clock.now() + timedelta(hours=1), limit=1, group=GROUP
    )

    for attempt in range(1, 8):
        stored = await row(world, kept)
        delay = (stored.due_at - world.clock.now()).total_seconds()
        planned = min(2 ** (attempt - 1), 60)
        assert stored.attempts == attempt
        assert 0.75 * planned <= delay <= min(1.25 * planned, 60)
        await world.clock.advance(delay)
        assert await process.retry.step()

    (dead,) = await world.desk()
    assert (dead.id, dead.attempts, dead.reason) == (kept.id, 8, "ValueError: no such thing")
    assert [happening.what for happening in dead.story] == ["received", *["failed"] * 7, "dead"]
    assert reacting.times(order.id) == 8
    assert await effects(world) == 1
    assert (await world.store.ledger.counts())[Lane.RECEIVED, State.BLOCKED] == 1
    await world.clock.advance(3_600)
    assert not await process.retry.step()


async def test_rejected_is_dead_at_once(world: World, process: Process, reacting: Reacting, order: Order) -> None:
    await keep(world, process, reacting, created(order))
    reacting.failing[str(order.id)] = Rejected("never")

    await process.retry.step()

    (dead,) = await world.desk()
    assert (dead.attempts, dead.reason) == (2, "never")


@pytest.mark.parametrize(
    "message",
    [a_created(type="crossdock.order.created.v9"), a_created(type="nobody.reacts.v1"), a_created(id="no UUID")],
)
async def test_what_this_version_cannot_read_is_dead_at_once(world: World, process: Process, message: Message) -> None:
    """As when it was kept behind another, or by a newer version."""
    now = world.clock.now()
    await world.store.commit(
        [Record(a_received(attributes=message.attributes, body=message.body, recorded_at=now, due_at=now))]
    )

    await process.retry.step()

    assert len(await world.desk()) == 1


@pytest.fixture
def no_time_to_react(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what a process is made of after this."""
    monkeypatch.setattr(retrying, "REACTION_SECONDS", 0)


@pytest.mark.usefixtures("no_time_to_react")
async def test_a_reaction_that_hangs_has_failed(world: World, process: Process, reacting: Reacting) -> None:
    (kept,) = await keep(world, process, reacting, a_created())

    async def hang(_event: OrderCreated) -> None:
        await asyncio.Event().wait()

    reacting.meanwhile = hang

    await process.retry.step()

    assert (await row(world, kept)).reason == "TimeoutError: not done after 0 seconds"


async def test_a_reaction_that_is_cancelled_by_what_it_awaits_has_failed(
    world: World, process: Process, reacting: Reacting
) -> None:
    (kept,) = await keep(world, process, reacting, a_created())
    reacting.next_failures.append(asyncio.CancelledError())

    await process.retry.step()

    assert (await row(world, kept)).attempts == 2


async def test_a_reaction_that_read_stale_data_runs_again(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting
) -> None:
    await keep(world, process, reacting, a_created())

    async def fail_twice(_event: OrderCreated) -> None:
        if len(reacting.ran) < 3:
            store.fail_next(Conflict(Precondition.VERSION_IS_CURRENT))

    reacting.meanwhile = fail_twice

    await process.retry.step()

    assert (len(reacting.ran), await effects(world)) == (3, 1)


async def test_a_reaction_that_always_reads_stale_data_has_failed_and_does_not_run_for_ever(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting
) -> None:
    (kept,) = await keep(world, process, reacting, a_created())

    async def fail(_event: OrderCreated) -> None:
        store.fail_next(Conflict(Precondition.VERSION_IS_CURRENT))

    reacting.meanwhile = fail

    await process.retry.step()

    stored = await row(world, kept)
    assert (stored.attempts, stored.reason) == (2, "the data that it depends on kept changing")
    assert len(reacting.ran) == 10


async def test_messages_that_keep_coming_behind_it_do_not_keep_it_from_being_done(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    """Each moves the lane on; the effect of a slow reaction is as good as before and need not be made again."""
    await keep(world, process, reacting, created(order))
    coming = [created(order) for _ in range(100)]

    async def one_more_comes(_event: OrderCreated) -> None:
        if coming:
            await process.receive.handle(a_batch(coming.pop()), first=False)

    reacting.meanwhile = one_more_comes

    await process.retry.step()

    assert len(reacting.ran) == 1
    assert await effects(world) == 1


async def test_a_zombie_cannot_undo_what_another_has_done_since(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    (kept,) = await keep(world, process, reacting, created(order))

    async def another_takes_over(_event: OrderCreated) -> None:
        claimed = await row(world, kept)
        until = world.clock.now() + timedelta(minutes=1)
        await world.store.commit([Replace(claimed.claimed("another process", until), claimed.token)])

    reacting.meanwhile = another_takes_over

    await process.retry.step()

    stored = await row(world, kept)
    assert (stored.holder, stored.attempts) == ("another process", 3)
    assert (len(reacting.ran), await effects(world)) == (1, 0)


async def test_what_another_has_finished_stays_finished(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    (kept,) = await keep(world, process, reacting, created(order))

    async def another_finishes(_event: OrderCreated) -> None:
        await world.store.commit([Remove(kept.id, None)])

    reacting.meanwhile = another_finishes
    reacting.failing[str(order.id)] = ValueError("late")

    await process.retry.step()

    assert await world.deliveries(Lane.RECEIVED) == 0


# --- unavailable ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retry_after", [None, 3_600])
async def test_unavailable_costs_no_attempt_and_backs_off_ten_seconds_at_most(
    world: World, process: Process, reacting: Reacting, retry_after: float | None
) -> None:
    (kept,) = await keep(world, process, reacting, a_created())
    before = await row(world, kept)
    reacting.next_failures.extend(away(retry_after=retry_after) for _ in range(12))
    delays = []

    for _ in range(12):
        await process.retry.step()
        stored = await row(world, kept)
        assert (stored.attempts, stored.story, stored.state) == (1, before.story, State.READY)
        delays.append((stored.due_at - world.clock.now()).total_seconds())
        await world.clock.advance(delays[-1])

    assert 7.5 <= delays[-1] <= 10
    assert max(delays) <= 10
    if retry_after is None:
        assert delays[:7] == sorted(delays[:7])
    await process.retry.step()
    assert await effects(world) == 1


@pytest.mark.parametrize("is_done", [True, False])
async def test_a_commit_whose_answer_is_lost_has_one_effect(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting, is_done: bool
) -> None:
    await keep(world, process, reacting, a_created())

    async def lose_the_answer(_event: OrderCreated) -> None:
        reacting.meanwhile = None
        store.fail_next(Unknown("the answer was lost"), is_done=is_done)

    reacting.meanwhile = lose_the_answer

    for _ in range(3):
        await process.retry.step()
        await world.clock.advance(1)

    assert await effects(world) == 1
    assert await world.deliveries(Lane.RECEIVED) == 0


async def test_a_store_that_goes_away_meanwhile_costs_no_attempt(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting
) -> None:
    (kept,) = await keep(world, process, reacting, a_created())

    async def lose_the_store(_event: OrderCreated) -> None:
        store.raised = away()

    reacting.meanwhile = lose_the_store
    stepping = asyncio.create_task(process.retry.step())
    await world.clock.advance(5)
    store.raised = reacting.meanwhile = None
    await world.clock.advance(10)
    await stepping

    stored = await row(world, kept)
    assert (stored.attempts, stored.holder) == (1, None)


async def test_a_store_that_stays_away_is_not_waited_for_longer_than_the_claim(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting
) -> None:
    await keep(world, process, reacting, a_created())

    async def lose_the_store(_event: OrderCreated) -> None:
        store.raised = away()

    reacting.meanwhile = lose_the_store
    began = world.clock.monotonic()

    await world.clock.run(process.retry.step())

    assert world.clock.monotonic() - began <= 60 + 10


async def test_a_claim_that_cannot_be_written_leaves_everything_as_it_was(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting
) -> None:
    (kept,) = await keep(world, process, reacting, a_created())
    before = await row(world, kept)
    store.fail_next(away())

    with pytest.raises(Unavailable):
        await process.retry.step()

    assert (await row(world, kept)) == before
    assert reacting.ran == []


# --- processes that end -----------------------------------------------------------------------------------------------


async def test_a_claim_that_ran_out_is_a_failed_attempt_and_due_again_after_a_delay(
    world: World, process: Process, reacting: Reacting
) -> None:
    (kept,) = await keep(world, process, reacting, a_created())
    claimed = kept.claimed("a dead process", world.clock.now() + timedelta(seconds=60))
    await world.store.commit([Replace(claimed, kept.token)])
    await world.clock.advance(60)

    await process.retry.step()

    stored = await row(world, kept)
    assert (stored.attempts, stored.holder, stored.reason) == (2, None, PROCESS_ENDED)
    assert timedelta(seconds=1.5) <= stored.due_at - world.clock.now() <= timedelta(seconds=2.5)
    assert reacting.ran == []


async def test_what_ended_each_process_that_handled_it_is_dead_and_blocks_its_lane(
    world: World, process: Process, reacting: Reacting, order: Order
) -> None:
    (kept, behind) = await keep(world, process, reacting, created(order), created(order))
    claimed = kept.claimed("a dead process", world.clock.now())
    for _ in range(MOST - 2):
        claimed = claimed.claimed("a dead process", world.clock.now())
    await world.store.commit([Replace(claimed, kept.token)])

    await process.retry.step()

    (dead,) = await world.desk()
    assert (dead.id, dead.attempts, dead.reason) == (kept.id, MOST, PROCESS_ENDED)
    assert (await row(world, behind)).state is State.BLOCKED


async def test_what_may_end_its_process_runs_alone(world: World, process: Process, reacting: Reacting) -> None:
    """Those that were in hand together are due together: only one of them is claimed when it ends the next process."""
    suspects = [a_created() for _ in range(4)]
    await world.store.commit([TakeInHand(GROUP, "order_events", 0, [each.attributes["id"] for each in suspects])])
    await process.receive.handle(a_batch(*suspects), first=True)
    others = await keep(world, process, reacting, *(a_created() for _ in range(2)))
    at_once: list[int] = []
    now = 0

    async def count(_event: OrderCreated) -> None:
        nonlocal now
        now += 1
        at_once.append(now)
        await asyncio.sleep(0)
        now -= 1

    reacting.meanwhile = count

    await retry_all(process)

    assert sorted(at_once) == [1, 1, 1, 1, 1, 2]
    assert len(others) == 6


async def test_what_comes_due_does_not_wait_for_all_that_has_to_run_alone(
    world: World, process: Process, reacting: Reacting
) -> None:
    """Each of them may take its quarter of a minute, and there may be fifty."""
    suspects = [a_created() for _ in range(3)]
    await world.store.commit([TakeInHand(GROUP, "order_events", 0, [each.attributes["id"] for each in suspects])])
    await process.receive.handle(a_batch(*suspects), first=True)
    await world.clock.advance(1.3)

    await process.retry.step()
    await keep(world, process, reacting, meanwhile := a_created())
    await process.retry.step()

    assert reacting.times(meanwhile.subject) == 1
    assert len(reacting.ran) == 2


async def test_a_suspect_that_kills_its_process_costs_the_others_nothing(world: World, reacting: Reacting) -> None:
    orders = [an_order(user=a_user()) for _ in range(4)]
    messages = [created(order) for order in orders]
    await world.store.commit([TakeInHand(GROUP, "order_events", 0, [each.attributes["id"] for each in messages])])
    store = FlakyPersistence(world.store)
    process = await world.process(store=store, reactions={OrderCreated: reacting})
    await process.receive.handle(a_batch(*messages), first=True)
    await world.clock.advance(1.3)
    killed = asyncio.Event()

    async def kill(event: OrderCreated) -> None:
        if event.order_id == orders[0].id:
            killed.set()
            await asyncio.Event().wait()

    reacting.meanwhile = kill

    await kill_in(store, retry_all(process), killed)

    rows = {row.subject: row for row in world.store._store.deliveries._rows.values() if row.lane is Lane.RECEIVED}
    counted = [rows[str(order.id)].attempts for order in orders if str(order.id) in rows]
    assert counted.count(2) == 1
    assert set(counted) <= {1, 2}


async def test_a_cancelled_step_leaves_the_message_to_whoever_comes_next(
    world: World, process: Process, reacting: Reacting
) -> None:
    await keep(world, process, reacting, a_created())
    begun = asyncio.Event()

    async def hang(_event: OrderCreated) -> None:
        begun.set()
        await asyncio.Event().wait()

    reacting.meanwhile = hang
    stepping = asyncio.create_task(process.retry.step())
    await begun.wait()
    stepping.cancel()
    await asyncio.gather(stepping, return_exceptions=True)
    reacting.meanwhile = None

    for _ in range(3):
        await world.clock.advance(60)
        await process.retry.step()

    assert await effects(world) == 1


async def test_one_that_cannot_be_claimed_does_not_leave_the_others_running_unwatched(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting
) -> None:
    await keep(world, process, reacting, *(a_created() for _ in range(3)))
    store.fail_next(away())
    reacting.meanwhile = lambda _event: asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await process.retry.step()

    assert await effects(world) == 2


# --- what is counted and told -----------------------------------------------------------------------------------------


async def test_of_consumers_that_find_a_claim_run_out_at_once_one_tells_of_it(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting, caplog: pytest.LogCaptureFixture
) -> None:
    (kept,) = await keep(world, process, reacting, a_created())
    await world.store.commit([Replace(kept.claimed("a dead process", world.clock.now()), kept.token)])
    other = await world.process(reactions={OrderCreated: reacting})
    before = process.counted(Step.FAILED, kept.name)
    caplog.clear()

    async def the_other_is_first(_: object) -> None:
        store.before_commit = None
        await other.retry.step()

    store.before_commit = the_other_is_first

    await process.retry.step()

    assert process.counted(Step.FAILED, kept.name) - before + other.counted(Step.FAILED, kept.name) == 1
    assert len(caplog.records) == 1


async def test_a_verdict_that_another_has_made_useless_is_neither_counted_nor_told(
    world: World, process: Process, reacting: Reacting, caplog: pytest.LogCaptureFixture
) -> None:
    (kept,) = await keep(world, process, reacting, a_created())
    before = process.counted(Step.FAILED, kept.name)
    caplog.clear()

    async def be_taken_over(_event: OrderCreated) -> None:
        mine = await row(world, kept)
        await world.store.commit([Replace(mine.claimed("another process", world.clock.now()), mine.token)])

    reacting.meanwhile = be_taken_over
    reacting.next_failures.append(ValueError("no"))

    await process.retry.step()

    assert process.counted(Step.FAILED, kept.name) == before
    assert caplog.records == []


async def test_a_dead_one_is_told_once_however_its_verdict_was_written(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting, caplog: pytest.LogCaptureFixture
) -> None:
    """The store was away for a while, and then its answer was lost: nobody may have to find it at the desk."""
    (kept,) = await keep(world, process, reacting, a_created())

    async def lose_answers(_event: OrderCreated) -> None:
        store.fail_next(away())
        store.fail_next(Unknown("the connection broke"), is_done=True)

    reacting.meanwhile = lose_answers
    reacting.next_failures.append(Rejected("never"))

    await world.clock.run(process.retry.step())

    lines = [line for line in caplog.records if line.levelname == "ERROR"]
    assert process.counted(Step.DEAD, kept.name) == 1
    assert [vars(line)["dead_letter"] for line in lines] == [kept.name]
    assert len(await world.desk()) == 1


async def test_a_reaction_that_hangs_is_told_by_its_message_before_it_has_failed(
    world: World, process: Process, reacting: Reacting
) -> None:
    (kept,) = await keep(world, process, reacting, a_created())
    gate = asyncio.Event()

    async def hang(_event: OrderCreated) -> None:
        await gate.wait()

    reacting.meanwhile = hang
    loop = Loop("retry", process.retry.step, world.clock, part=process.retry)
    running = asyncio.create_task(loop.run())
    await world.clock.advance(STUCK_SECONDS + 2)
    hanging = loop.trouble
    gate.set()
    await world.clock.advance(2)
    after = loop.trouble
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert hanging == f"the reaction to kept message {kept.id} has not ended for 12 s"
    assert after is None


async def test_reactions_that_take_long_one_after_the_other_are_no_standstill(
    world: World, process: Process, reacting: Reacting
) -> None:
    suspects = [a_created() for _ in range(3)]
    await world.store.commit([TakeInHand(GROUP, "order_events", 0, [each.attributes["id"] for each in suspects])])
    await process.receive.handle(a_batch(*suspects), first=True)
    await keep(world, process, reacting, a_created())
    troubles: list[object] = []
    loop = Loop("retry", process.retry.step, world.clock, part=process.retry)

    async def take_long(_event: OrderCreated) -> None:
        await world.clock.sleep(STUCK_SECONDS - 2)
        troubles.append(loop.trouble)

    reacting.meanwhile = take_long
    running = asyncio.create_task(loop.run())
    await world.clock.advance(5 * STUCK_SECONDS)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert troubles == [None] * 4


def kinds(writes: Sequence[object]) -> set[str]:
    return {type(write).__name__ for write in writes}


async def test_effect_and_removal_are_one_commit_with_the_lane_as_precondition(
    world: World, process: Process, store: FlakyPersistence, reacting: Reacting
) -> None:
    await keep(world, process, reacting, a_created())
    store.committed.clear()

    await process.retry.step()

    assert [kinds(writes) for writes in store.committed] == [{"Replace"}, {"Record", "Remove", "Advance"}]
