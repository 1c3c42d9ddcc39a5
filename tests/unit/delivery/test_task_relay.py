import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest

from domain.delivery.queue_watch import RESEND_SECONDS
from ports.deliveries import Delivery, Lane, State
from ports.delivery_counts import Step
from ports.errors import Rejected, Unavailable, Unknown
from ports.persistence import Record, Remove, Replace, Write
from tests.builders import a_task
from tests.unit.delivery.builders import MOST, FlakyPersistence, UnavailableQueue, World, away


async def record(world: World, *tasks: Delivery) -> None:
    await world.store.commit([Record(task) for task in tasks])


def due_now(world: World, **changes: object) -> Delivery:
    now = world.clock.now()
    return a_task(recorded_at=now, due_at=now, **changes)


def claimed(world: World, *, attempts: int) -> Delivery:
    """By a process that is not there any more."""
    return due_now(world, holder="another process", attempts=attempts)


async def row(world: World, task: Delivery) -> Delivery:
    found = await world.store.ledger.get(task.id)
    assert found is not None
    return found


async def test_due_tasks_are_handed_to_the_queue_each_once(world: World) -> None:
    process = await world.process(performs_here=False)
    tasks = [due_now(world) for _ in range(5)]
    await record(world, *tasks)

    assert await process.task_relay.step()
    assert not await process.task_relay.step()

    assert [task.id for task in process.memory_queue.waiting] == [task.id for task in tasks]


async def test_all_are_handed_over_however_many(world: World) -> None:
    process = await world.process(performs_here=False)
    await record(world, *(due_now(world) for _ in range(450)))

    while await process.task_relay.step():
        pass

    assert len(process.memory_queue.waiting) == 450


async def test_it_is_noted_before_it_is_handed_over(world: World) -> None:
    """So that the send number that the queue is given is the one of the row."""
    process = await world.process(performs_here=False)
    await record(world, due_now(world))

    await process.task_relay.step()

    (given,) = process.memory_queue.waiting
    stored = await row(world, given)
    assert (stored.token, stored.holder) == (given.token, None)
    assert stored.sent_at == world.clock.now()


async def test_what_the_queue_lost_is_handed_over_again_after_a_while(world: World) -> None:
    process = await world.process(performs_here=False)
    task = due_now(world)
    await record(world, task)
    await process.task_relay.step()
    process.memory_queue._waiting.clear()

    await world.clock.advance(RESEND_SECONDS - 1)
    assert not await process.task_relay.step()
    await world.clock.advance(1)
    await process.task_relay.step()

    assert [each.id for each in process.memory_queue.waiting] == [task.id]
    assert (await row(world, task)).attempts == 0


async def test_what_nobody_claims_is_handed_over_again_less_and_less_often(world: World) -> None:
    """Nobody may be there to claim it, and each copy would have to be thrown away when somebody comes."""
    process = await world.process(performs_here=False)
    await record(world, due_now(world))
    again = []
    for second in range(1_800):
        if await process.task_relay.step():
            again.append(second)
        await world.clock.advance(1)

    pauses = [later - earlier for earlier, later in pairwise(again)]
    assert pauses[:3] == [20, 40, 80]
    assert max(pauses) <= 605


async def test_a_queue_that_is_slow_is_not_given_the_same_again(world: World) -> None:
    process = await world.process(performs_here=False)
    tasks = [due_now(world) for _ in range(100)]
    await record(world, *tasks)
    await process.task_relay.step()
    first = list(process.memory_queue.waiting)

    for _ in range(10):  # one each 15 seconds
        await process.perform(process.memory_queue._waiting.popleft())
        for _ in range(15):
            await world.clock.advance(1)
            assert not await process.task_relay.step()

    assert list(process.memory_queue.waiting) == first[10:]


async def test_what_a_queue_lost_among_others_is_handed_over_again(world: World) -> None:
    """What was given to the queue much later is done already, so this one was passed by."""
    process = await world.process(performs_here=False)
    lost = due_now(world)
    await record(world, lost)
    await process.task_relay.step()
    process.memory_queue._waiting.clear()

    seen = []
    for _ in range(60):
        await record(world, due_now(world))
        await process.task_relay.step()
        seen += [task.id for task in process.memory_queue.waiting]
        await process.memory_queue.perform_all()
        await world.clock.advance(1)

    assert seen.count(lost.id) == 1


async def test_no_more_than_a_thousand_wait_unclaimed_in_a_queue(world: World) -> None:
    process = await world.process(performs_here=False)
    await record(world, *(due_now(world) for _ in range(1_300)))

    while await process.task_relay.step():
        pass

    assert len(process.memory_queue.waiting) == 1_000
    assert await world.store.ledger.handed_over() == 1_000


async def test_what_a_full_queue_lost_is_handed_over_again(world: World) -> None:
    process = await world.process(performs_here=False)
    await record(world, *(due_now(world) for _ in range(1_300)))
    while await process.task_relay.step():
        pass
    lost = {task.id for task in process.memory_queue.waiting}
    process.memory_queue._waiting.clear()

    for _ in range(int(RESEND_SECONDS)):
        await world.clock.advance(1)
    await process.task_relay.step()

    assert {task.id for task in process.memory_queue.waiting} <= lost
    assert process.memory_queue.waiting


async def test_of_several_relays_with_one_queue_one_hands_over(world: World) -> None:
    processes = [await world.process(performs_here=False, shares_queue=True) for _ in range(2)]
    await record(world, *(due_now(world) for _ in range(20)))

    busy = [await process.task_relay.step() for process in processes]
    assert busy == [True, False]

    await processes[0].task_relay.stop()
    await record(world, due_now(world))
    await world.clock.advance(2)
    assert await processes[1].task_relay.step()


async def test_two_relays_hand_a_task_over_once(world: World) -> None:
    one, other = await world.process(performs_here=False), await world.process(performs_here=False)
    await record(world, *(due_now(world) for _ in range(20)))

    await asyncio.gather(one.task_relay.step(), other.task_relay.step())

    handed = [*one.memory_queue.waiting, *other.memory_queue.waiting]
    assert len(handed) == len({task.id for task in handed}) == 20


# --- a queue that does not take it ------------------------------------------------------------------------------------


async def test_an_unavailable_queue_costs_no_attempt_and_is_asked_again_after_a_growing_while(world: World) -> None:
    queue = UnavailableQueue(away())
    process = await world.process(queue=queue, performs_here=False)
    task = due_now(world)
    await record(world, task)
    pauses = []
    for _ in range(12):
        await process.task_relay.step()
        stored = await row(world, task)
        assert (stored.attempts, stored.state, stored.story) == (0, State.READY, ())
        pause = (stored.due_at - world.clock.now()).total_seconds()
        pauses.append(pause)
        await world.clock.advance(pause)

    assert pauses[0] <= 0.1
    assert 7 <= max(pauses) <= 10
    queue.outcome = None
    await process.task_relay.step()
    assert (await row(world, task)).is_handed_over


async def test_what_the_queue_rejects_is_dead(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """And said so, as of everything that waits for a person: nobody may have to find it at the desk."""
    process = await world.process(queue=UnavailableQueue(Rejected("too large")), performs_here=False)
    task = due_now(world)
    await record(world, task)

    await process.task_relay.step()

    (dead,) = await world.desk()
    assert (dead.id, dead.reason, dead.attempts) == (task.id, "too large", 1)
    (line,) = caplog.records
    assert (line.levelname, vars(line)["dead_letter"], vars(line)["dead_reason"]) == ("ERROR", task.name, "too large")


async def test_the_death_of_a_task_that_could_not_be_written_down_is_not_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    store = FlakyPersistence(world.store)
    process = await world.process(store=store, queue=UnavailableQueue(Rejected("too large")), performs_here=False)
    task = due_now(world)
    await record(world, task)

    async def fail_to_bury(writes: Sequence[Write]) -> None:
        if any(isinstance(write, Replace) and write.delivery.state is State.DEAD for write in writes):
            raise Unavailable("the store is away")

    store.before_commit = fail_to_bury

    with pytest.raises(Unavailable):
        await process.task_relay.step()

    assert not caplog.records
    assert process.counted(Step.DEAD, task.name) == 0


# --- claims that ran out ----------------------------------------------------------------------------------------------


async def test_a_claim_that_ran_out_counts_as_an_attempt_but_not_one_that_was_born_and_never_begun(
    world: World,
) -> None:
    process = await world.process()
    born, taken = claimed(world, attempts=0), claimed(world, attempts=1)
    await record(world, born, taken)

    await process.task_relay.step()

    waited, failed = await row(world, born), await row(world, taken)
    assert (waited.attempts, waited.holder, waited.story) == (0, None, ())
    assert [task.id for task in process.memory_queue.waiting] == [born.id]
    assert (failed.attempts, failed.holder, failed.state) == (1, None, State.READY)
    assert [happening.what for happening in failed.story] == ["failed"]


async def test_a_queue_that_is_full_is_offered_nothing_and_no_row_is_written(world: World) -> None:
    process = await world.process()
    tasks = [due_now(world) for _ in range(3)]
    await record(world, *tasks)
    full, works = 0, process.memory_queue.room()
    process.memory_queue.room = lambda: full  # type: ignore[method-assign]

    busy = await process.task_relay.step()

    assert (busy, works > 0) == (False, True)
    assert [(await row(world, task)).token for task in tasks] == [task.token for task in tasks]


async def test_what_was_claimed_together_does_not_come_again_together(world: World) -> None:
    """A task that ends its process takes those along that are in hand with it; they shall not meet again each time."""
    process = await world.process(most=8)
    tasks = [claimed(world, attempts=4) for _ in range(20)]
    await record(world, *tasks)

    await process.task_relay.step()

    assert not process.memory_queue.waiting
    due = [(await row(world, task)).due_at - world.clock.now() for task in tasks]
    assert len(set(due)) == 20
    assert timedelta(seconds=6) <= min(due) < max(due) <= timedelta(seconds=10)


async def test_it_is_handed_over_when_its_delay_is_over(world: World) -> None:
    process = await world.process()
    task = claimed(world, attempts=1)
    await record(world, task)
    await process.task_relay.step()

    await world.clock.advance(1.3)
    await process.task_relay.step()

    (handed,) = process.memory_queue.waiting
    assert (handed.id, handed.attempts) == (task.id, 1)


async def test_what_ended_each_process_that_worked_on_it_is_dead(world: World) -> None:
    process = await world.process()
    task = claimed(world, attempts=MOST)
    await record(world, task)

    await process.task_relay.step()

    (dead,) = await world.desk()
    assert (dead.id, dead.attempts, dead.holder) == (task.id, MOST, None)
    assert not process.memory_queue.waiting


async def test_of_relays_that_find_a_claim_run_out_at_once_one_tells_of_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    store = FlakyPersistence(world.store)
    process, other = await world.process(store=store), await world.process()
    task = claimed(world, attempts=MOST)
    await record(world, task)

    async def the_other_is_first(_: object) -> None:
        store.before_commit = None
        await other.task_relay.step()

    store.before_commit = the_other_is_first

    await process.task_relay.step()

    assert len(await world.desk()) == 1
    assert process.counted(Step.DEAD, task.name) + other.counted(Step.DEAD, task.name) == 1
    assert len(caplog.records) == 1


async def test_a_dead_task_blocks_nothing(world: World) -> None:
    process = await world.process(performs_here=False)
    dead, later = due_now(world, subject="a", holder="gone", attempts=MOST), due_now(world, subject="a")
    await record(world, dead, later)

    await process.task_relay.step()

    assert [task.id for task in process.memory_queue.waiting] == [later.id]


async def test_a_performer_that_was_faster_keeps_the_task(world: World) -> None:
    store = FlakyPersistence(world.store)
    process = await world.process(store=store)
    done, renewed = claimed(world, attempts=1), claimed(world, attempts=1)
    await record(world, done, renewed)

    async def the_performer_is_still_there(name: str) -> None:
        if name == "due":
            await world.store.commit(
                [Remove(done.id, None), Replace(renewed.due(world.clock.now() + timedelta(seconds=15)), renewed.token)]
            )

    store.after_reading = the_performer_is_still_there

    await process.task_relay.step()

    assert not process.memory_queue.waiting
    assert (await row(world, renewed)).holder == "another process"
    assert await world.deliveries(Lane.TASK) == 1


@pytest.mark.parametrize("error", [Unavailable("away"), Unknown("perhaps")])
async def test_what_could_not_be_noted_is_not_handed_over_and_comes_due_again(world: World, error: Exception) -> None:
    store = FlakyPersistence(world.store)
    process = await world.process(store=store, performs_here=False)
    task = due_now(world)
    await record(world, task)
    store.fail_next(error)

    with pytest.raises(type(error)):
        await process.task_relay.step()
    assert not process.memory_queue.waiting

    await process.task_relay.step()
    assert [each.id for each in process.memory_queue.waiting] == [task.id]
