import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from domain.delivery import perform as performing
from domain.delivery.failures import together
from domain.model.tasks import SendWelcomeEmail
from ports.deliveries import Delivery, Lane, State
from ports.delivery_counts import Step
from ports.errors import Rejected, Unavailable, Unknown
from ports.persistence import Record, Remove, Replace, Write
from tests.builders import a_task, an_id
from tests.unit.delivery.builders import FlakyPersistence, Process, World, away, kill_in

BODY = b'{"user_id":"01a2070d-5c23-7264-90cc-ae83321b2d38"}'


class Working:
    """Work that notes what it was given, and raises what it is told to."""

    def __init__(self) -> None:
        self.done: list[SendWelcomeEmail] = []
        self.failure: BaseException | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, task: SendWelcomeEmail) -> None:
        self.done.append(task)
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def work() -> Working:
    return Working()


@pytest.fixture
async def process(world: World, store: FlakyPersistence, work: Working) -> Process:
    return await world.process(store=store, work={SendWelcomeEmail: work})


async def a_task_to_do(world: World, **changes: object) -> Delivery:
    now = world.clock.now()
    task = a_task(id=str(an_id()), body=BODY, recorded_at=now, due_at=now, **changes)
    await world.store.commit([Record(task)])
    return task


async def a_born_claimed_task(world: World, process: Process) -> Delivery:
    return await a_task_to_do_of(world, a_task(id=str(an_id()), body=BODY, recorded_at=world.clock.now()), process)


async def a_task_to_do_of(world: World, task: Delivery, process: Process) -> Delivery:
    task = task.born_claimed(process.name, 15)
    await world.store.commit([Record(task)])
    return task


async def row(world: World, task: Delivery) -> Delivery:
    found = await world.store.ledger.get(task.id)
    assert found is not None
    return found


async def through_the_queue(process: Process) -> None:
    """Let the relay hand over what is due, and perform it."""
    await process.task_relay.step()
    await process.memory_queue.perform_all()


# --- claims -----------------------------------------------------------------------------------------------------------


async def test_a_task_that_is_done_has_no_row(world: World, process: Process, work: Working) -> None:
    task = await a_task_to_do(world)

    await process.perform(task)

    assert [str(done.id) for done in work.done] == [task.id]
    assert await world.deliveries(Lane.TASK) == 0


async def test_the_attempt_is_counted_and_the_claim_held_while_it_is_worked_on(
    world: World, process: Process, work: Working
) -> None:
    task = await a_task_to_do(world)
    seen: list[Delivery] = []

    async def look() -> None:
        seen.append(await row(world, task))

    work.meanwhile = look

    await process.perform(task)

    (during,) = seen
    assert (during.attempts, during.holder) == (1, process.name)
    assert during.due_at == world.clock.now() + timedelta(seconds=15)


async def test_the_attempt_at_a_task_born_here_is_counted_when_its_work_begins(
    world: World, process: Process, store: FlakyPersistence, work: Working
) -> None:
    """Not before: a task that only waited when its process ended has not been tried."""
    task = await a_born_claimed_task(world, process)

    await process.perform(task)

    (claim,), (mark,) = store.committed
    assert isinstance(claim, Replace)
    assert (claim.token, claim.delivery.attempts, len(work.done)) == (1, 1, 1)
    assert mark == Remove(task.id, 2)


async def test_a_task_born_elsewhere_is_claimed(world: World, process: Process, store: FlakyPersistence) -> None:
    other = await world.process()
    task = await a_born_claimed_task(world, other)

    await process.perform(task)

    assert isinstance(store.committed[0][0], Replace)


async def test_a_task_born_here_that_waited_too_long_has_no_attempt_more(
    world: World, process: Process, store: FlakyPersistence
) -> None:
    task = await a_born_claimed_task(world, process)
    await world.clock.advance(14.5)

    await process.perform(task)

    first = store.committed[0][0]
    assert isinstance(first, Replace)
    assert first.delivery.attempts == 1


async def test_two_performers_that_are_given_a_task_do_it_once(world: World, work: Working) -> None:
    processes = [await world.process(work={SendWelcomeEmail: work}) for _ in range(5)]
    task = await a_task_to_do(world)

    await asyncio.gather(*(process.perform(task) for process in processes))

    assert len(work.done) == 1


@pytest.mark.parametrize("is_born_here", [True, False])
async def test_a_queue_that_gives_a_task_twice_at_once_does_no_harm(
    world: World, process: Process, work: Working, is_born_here: bool
) -> None:
    task = await (a_born_claimed_task(world, process) if is_born_here else a_task_to_do(world))
    work.meanwhile = world.clock.settle

    await asyncio.gather(*(process.perform(task) for _ in range(5)))

    assert len(work.done) == 1
    assert await world.deliveries(Lane.TASK) == 0


async def test_a_queue_that_gives_a_task_twice_does_no_harm_under_load_either(
    world: World, process: Process, work: Working
) -> None:
    """While performing rests, since many requests are in flight."""
    task = await a_born_claimed_task(world, process)
    process.perform._pace.in_flight = 100
    work.meanwhile = lambda: world.clock.sleep(1)

    await world.clock.run(together(process.perform(task) for _ in range(5)))

    assert len(work.done) == 1


async def test_a_claim_that_ran_out_is_taken_over(world: World, process: Process, work: Working) -> None:
    dead = await world.process()
    await a_born_claimed_task(world, dead)

    await world.clock.advance(14)
    await through_the_queue(process)
    assert work.done == []
    for _ in range(2):
        await world.clock.advance(1.5)
        await through_the_queue(process)

    assert len(work.done) == 1
    assert await world.deliveries(Lane.TASK) == 0


async def test_a_stale_performer_cannot_mark_what_another_has_taken_over(
    world: World, process: Process, work: Working, caplog: pytest.LogCaptureFixture
) -> None:
    task = await a_task_to_do(world)
    work.failure = Rejected("the stale one fails")

    async def another_takes_over() -> None:
        claimed = await row(world, task)
        await world.store.commit(
            [Replace(claimed.claimed("another process", world.clock.now() + timedelta(seconds=15)), claimed.token)]
        )

    work.meanwhile = another_takes_over

    await process.perform(task)

    stored = await row(world, task)
    assert (stored.holder, stored.attempts, stored.state) == ("another process", 2, State.READY)
    assert process.counted(Step.DEAD, task.name) == 0
    assert [line.levelname for line in caplog.records] == ["WARNING"]


async def test_a_dead_task_is_told_although_the_answer_of_the_store_was_lost(
    world: World, process: Process, store: FlakyPersistence, work: Working, caplog: pytest.LogCaptureFixture
) -> None:
    task = await a_task_to_do(world)
    work.failure = Rejected("never")

    async def lose_the_answer() -> None:
        store.fail_next(Unknown("the connection broke"), is_done=True)

    work.meanwhile = lose_the_answer

    await world.clock.run(process.perform(task))

    (line,) = caplog.records
    assert (line.levelname, vars(line)["dead_letter"], vars(line)["dead_reason"]) == ("ERROR", task.name, "never")
    assert process.counted(Step.DEAD, task.name) == 1


async def test_a_task_that_is_done_elsewhere_meanwhile_stays_done(
    world: World, process: Process, work: Working
) -> None:
    task = await a_task_to_do(world)

    async def another_finishes() -> None:
        await world.store.commit([Remove(task.id, None)])

    work.meanwhile = another_finishes
    work.failure = ValueError("too late")

    await process.perform(task)

    assert await world.store.ledger.get(task.id) is None


# --- by id ------------------------------------------------------------------------------------------------------------


async def test_a_task_is_performed_by_its_id_and_send_number(world: World, process: Process, work: Working) -> None:
    task = await a_task_to_do(world)

    await process.perform.by_id(task.id, task.token)

    assert len(work.done) == 1


async def test_an_unknown_row_is_done(process: Process, work: Working) -> None:
    await process.perform.by_id(str(an_id()), 1)

    assert work.done == []


async def test_a_delivery_that_was_sent_again_since_is_dropped(world: World, process: Process, work: Working) -> None:
    task = await a_task_to_do(world)
    await process.task_relay.step()

    await process.perform.by_id(task.id, task.token)
    assert work.done == []
    await process.perform.by_id(task.id, task.token + 1)
    assert len(work.done) == 1


async def test_a_row_that_is_no_task_is_not_performed(world: World, process: Process, work: Working) -> None:
    order = await process.place_order()
    (event, *_) = await world.store.ledger.ready_events(partitions=range(4), limit=1)

    await process.perform.by_id(event.id, event.token)

    assert work.done == []
    assert order is not None


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_work_that_always_raises_is_tried_after_growing_delays_and_then_dead_with_its_story(
    world: World, work: Working
) -> None:
    process = await world.process(work={SendWelcomeEmail: work}, most=8)
    task = await a_task_to_do(world)
    work.failure = ValueError("no\nsuch  thing")
    delays = []

    for attempt in range(1, 9):
        await through_the_queue(process)
        assert len(work.done) == attempt
        stored = await row(world, task)
        delays.append((stored.due_at - world.clock.now()).total_seconds())
        if attempt < 8:
            await world.clock.advance(delays[-1])

    for number, delay in enumerate(delays[:7]):
        assert 0.75 * min(2**number, 60) <= delay <= min(1.25 * 2**number, 60)
    (dead,) = await world.desk()
    assert (dead.id, dead.attempts, dead.reason) == (task.id, 8, "ValueError: no such thing")
    assert [happening.what for happening in dead.story] == ["failed"] * 7 + ["dead"]
    await world.clock.advance(3_600)
    assert not await process.task_relay.step()


async def test_rejected_is_dead_at_once(world: World, process: Process, work: Working) -> None:
    task = await a_task_to_do(world)
    work.failure = Rejected("no such mailbox")

    await process.perform(task)

    (dead,) = await world.desk()
    assert (dead.id, dead.attempts, dead.reason) == (task.id, 1, "no such mailbox")


async def test_the_first_failure_of_a_task_born_here_is_its_first_attempt(
    world: World, process: Process, work: Working
) -> None:
    task = await a_born_claimed_task(world, process)
    work.failure = ValueError()

    await process.perform(task)

    stored = await row(world, task)
    assert (stored.attempts, stored.holder) == (1, None)


@pytest.mark.parametrize("is_born_here", [True, False])
async def test_unavailable_costs_no_attempt_and_backs_off_ten_seconds_at_most(
    world: World, process: Process, work: Working, is_born_here: bool
) -> None:
    task = await (a_born_claimed_task(world, process) if is_born_here else a_task_to_do(world))
    work.failure = away()
    await process.perform(task)
    delays = []

    for _ in range(12):
        stored = await row(world, task)
        assert (stored.attempts, stored.state, stored.holder, stored.story) == (0, State.READY, None, ())
        delays.append((stored.due_at - world.clock.now()).total_seconds())
        await world.clock.advance(delays[-1])
        await through_the_queue(process)

    assert len(work.done) == 13
    assert delays[0] <= 0.1
    assert delays[:7] == sorted(delays[:7])
    assert 7.5 <= delays[-1] <= 10


async def test_a_mailer_that_asks_for_an_hour_is_asked_again_in_ten_seconds(
    world: World, process: Process, work: Working
) -> None:
    task = await a_task_to_do(world)
    work.failure = away(retry_after=3_600)

    await process.perform(task)

    assert (await row(world, task)).due_at <= world.clock.now() + timedelta(seconds=10)


async def test_an_outage_is_over_when_work_succeeds(world: World, process: Process, work: Working) -> None:
    work.failure = away()
    for _ in range(9):
        await process.perform(await a_task_to_do(world))
    work.failure = None
    await process.perform(await a_task_to_do(world))
    work.failure = away()
    task = await a_task_to_do(world)

    await process.perform(task)

    assert (await row(world, task)).due_at <= world.clock.now() + timedelta(seconds=0.1)


@pytest.fixture
def no_time_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what a process is made of after this."""
    monkeypatch.setattr(performing, "WORK_SECONDS", 0)


@pytest.mark.usefixtures("no_time_to_work")
async def test_work_that_hangs_has_failed(world: World, process: Process, work: Working) -> None:
    task = await a_task_to_do(world)

    async def hang() -> None:
        await asyncio.Event().wait()

    work.meanwhile = hang

    await process.perform(task)

    stored = await row(world, task)
    assert (stored.attempts, stored.reason) == (1, "TimeoutError: not done after 0 seconds")


async def test_work_that_is_cancelled_by_what_it_awaits_has_failed(
    world: World, process: Process, work: Working
) -> None:
    task = await a_task_to_do(world)
    work.failure = asyncio.CancelledError()

    await process.perform(task)

    stored = await row(world, task)
    assert (stored.attempts, stored.holder) == (1, None)


async def test_a_performer_that_is_cancelled_leaves_the_row_to_others(
    world: World, process: Process, work: Working
) -> None:
    task = await a_task_to_do(world)

    async def hang() -> None:
        await asyncio.Event().wait()

    work.meanwhile = hang
    performing = asyncio.create_task(process.perform(task))
    await world.clock.settle()

    performing.cancel()
    await asyncio.gather(performing, return_exceptions=True)
    work.meanwhile = None
    other = await world.process(work={SendWelcomeEmail: work})
    for _ in range(3):
        await world.clock.advance(15)
        await through_the_queue(other)

    assert len(work.done) == 2
    assert await world.deliveries(Lane.TASK) == 0


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("no_such_task", BODY),
        ("send_welcome_email", b"{}"),
        ("send_welcome_email", b"not JSON"),
        ("send_welcome_email", b"[]"),
        ("send_welcome_email", b'{"user_id":1}'),
    ],
)
async def test_what_this_version_does_not_perform_is_dead_with_a_reason(
    world: World, process: Process, name: str, body: bytes
) -> None:
    task = a_task(id=str(an_id()), name=name, body=body)
    await world.store.commit([Record(task)])

    await process.perform(task)

    (dead,) = await world.desk()
    assert dead.reason is not None
    assert dead.reason.startswith("not a task that this version performs")


async def test_a_task_that_ends_its_process_each_time_is_dead_in_the_end_and_takes_nobody_with_it(
    world: World, work: Working
) -> None:
    killer, *innocents = [await a_task_to_do(world) for _ in range(4)]
    killed = asyncio.Event()
    deaths = 0

    async def kill_or_take_a_while(task: SendWelcomeEmail) -> None:
        if str(task.id) == killer.id:
            killed.set()
        await world.clock.sleep(0.2)
        work.done.append(task)

    async def perform_at_once(process: Process) -> None:
        """As the background queue does it: many in hand together."""
        async with asyncio.TaskGroup() as in_hand:
            while True:
                await process.task_relay.step()
                for task in process.memory_queue.waiting:
                    in_hand.create_task(process.perform(task))
                process.memory_queue._waiting.clear()
                await world.clock.sleep(0.05)

    while not await world.desk() and deaths < 20:
        killed.clear()
        store = FlakyPersistence(world.store)
        process = await world.process(store=store, work={SendWelcomeEmail: kill_or_take_a_while}, most=5)
        living = asyncio.create_task(kill_in(store, perform_at_once(process), killed))
        while not living.done() and not await world.desk():
            await world.clock.advance(0.5)
        deaths += living.done()
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)

    assert [dead.id for dead in await world.desk()] == [killer.id]
    assert deaths == 5
    assert {str(task.id) for task in work.done} == {task.id for task in innocents}


# --- renewals ---------------------------------------------------------------------------------------------------------


async def test_claims_are_renewed_while_the_work_goes_on(world: World, process: Process, work: Working) -> None:
    task = await a_task_to_do(world)
    work.meanwhile = lambda: world.clock.sleep(50)
    performing = asyncio.create_task(process.perform(task))
    other = await world.process(work={SendWelcomeEmail: work})

    for _ in range(11):
        await world.clock.advance(5)
        await process.perform.renew()
        await through_the_queue(other)
    await performing

    assert len(work.done) == 1
    assert await world.deliveries(Lane.TASK) == 0


async def test_a_claim_that_is_young_is_not_renewed(
    world: World, process: Process, work: Working, store: FlakyPersistence
) -> None:
    task = await a_task_to_do(world)
    work.meanwhile = lambda: world.clock.sleep(50)
    performing = asyncio.create_task(process.perform(task))
    await world.clock.advance(4)
    before = len(store.committed)

    await process.perform.renew()

    assert len(store.committed) == before
    performing.cancel()
    await asyncio.gather(performing, return_exceptions=True)


async def test_a_renewal_while_the_work_is_being_marked_does_not_undo_the_mark(
    world: World, process: Process, work: Working, store: FlakyPersistence
) -> None:
    """The renewal's write is in the store and its answer is on its way when the mark comes: the work is done once."""
    task = await a_task_to_do(world)
    finish, renewed, answer = asyncio.Event(), asyncio.Event(), asyncio.Event()
    work.meanwhile = lambda: _until(finish)
    performing = asyncio.create_task(process.perform(task))
    await world.clock.advance(6)

    async def delay_the_answer(_writes: Sequence[Write]) -> None:
        if not finish.is_set():
            renewed.set()
            await answer.wait()

    store.after_commit = delay_the_answer
    renewing = asyncio.create_task(process.perform.renew())
    await renewed.wait()
    finish.set()
    await performing
    answer.set()
    await renewing

    assert await world.deliveries(Lane.TASK) == 0


@pytest.mark.parametrize("is_done", [True, False])
async def test_a_renewal_whose_answer_is_lost_does_not_lose_the_claim(
    world: World, process: Process, work: Working, store: FlakyPersistence, is_done: bool
) -> None:
    task = await a_task_to_do(world)
    work.meanwhile = lambda: world.clock.sleep(30)
    performing = asyncio.create_task(process.perform(task))
    await world.clock.advance(6)
    store.fail_next(Unknown("the answer was lost"), is_done=is_done)
    with pytest.raises(Unknown):
        await process.perform.renew()

    for _ in range(5):
        await world.clock.advance(5)
        await process.perform.renew()
        assert (await world.store.ledger.due(Lane.TASK, now=world.clock.now(), limit=9)) == []
    await performing

    assert await world.deliveries(Lane.TASK) == 0


async def test_one_renewal_that_fails_does_not_keep_the_others_from_theirs(
    world: World, process: Process, work: Working, store: FlakyPersistence
) -> None:
    tasks = [await a_task_to_do(world) for _ in range(4)]
    work.meanwhile = lambda: world.clock.sleep(60)
    performing = [asyncio.create_task(process.perform(task)) for task in tasks]
    await world.clock.advance(6)
    store.fail_next(away())

    with pytest.raises(Unavailable):
        await process.perform.renew()

    renewed = [task for task in tasks if (await row(world, task)).due_at == world.clock.now() + timedelta(seconds=15)]
    assert len(renewed) == 3
    for each in performing:
        each.cancel()
    await asyncio.gather(*performing, return_exceptions=True)


# --- the store --------------------------------------------------------------------------------------------------------


async def test_a_mark_is_repeated_until_the_store_takes_it(
    world: World, process: Process, work: Working, store: FlakyPersistence
) -> None:
    task = await a_born_claimed_task(world, process)

    async def lose_the_store() -> None:
        store.fail_next(*[away()] * 5)

    work.meanwhile = lose_the_store

    await world.clock.run(process.perform(task))

    assert len(work.done) == 1
    assert await world.deliveries(Lane.TASK) == 0


async def test_a_mark_whose_answer_is_lost_is_not_repeated_in_vain(
    world: World, process: Process, work: Working, store: FlakyPersistence
) -> None:
    done, failed = await a_born_claimed_task(world, process), await a_born_claimed_task(world, process)

    async def lose_the_answer() -> None:
        store.fail_next(Unknown("the answer was lost"), is_done=True)

    work.meanwhile = lose_the_answer
    await world.clock.run(process.perform(done))
    work.failure = ValueError()
    await world.clock.run(process.perform(failed))

    stored = await row(world, failed)
    assert (stored.attempts, len(stored.story)) == (1, 1)
    assert await world.store.ledger.get(done.id) is None


async def test_a_mark_is_given_up_when_the_claim_has_run_out(
    world: World, process: Process, work: Working, store: FlakyPersistence
) -> None:
    """Whoever takes the task over marks it; the mail goes out twice, with one message id."""
    task = await a_task_to_do(world)

    async def lose_the_store() -> None:
        store.raised = away()

    work.meanwhile = lose_the_store

    await world.clock.run(process.perform(task))

    assert world.clock.monotonic() <= 15 + 10
    stored = await row(world, task)
    assert (stored.attempts, stored.holder) == (1, process.name)


async def test_work_whose_claim_cannot_be_written_is_not_begun_and_left_for_later(
    world: World, process: Process, work: Working, store: FlakyPersistence
) -> None:
    task = await a_task_to_do(world)
    store.fail_next(away())

    await process.perform(task)

    assert work.done == []
    await process.perform(task)
    assert len(work.done) == 1


async def _until(event: asyncio.Event) -> None:
    await event.wait()
