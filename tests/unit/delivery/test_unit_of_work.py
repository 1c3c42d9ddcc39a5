import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from domain.model.errors import EmailAlreadyRegistered, UnknownUser
from domain.model.events import UserRegistered
from domain.model.tasks import SendWelcomeEmail
from ports.deliveries import Delivery, Lane
from ports.errors import Conflict, Rejected, Unavailable, Unknown
from ports.message import BODY_MOST, partition_of, read_event
from ports.persistence import ANSWER_MOST
from tests.builders import a_user, an_id, an_order
from tests.contracts.persistence_parts.cases import an_answer
from tests.unit.delivery.builders import PARTITIONS, FlakyPersistence, Process, World


@pytest.fixture
def told(process: Process) -> list[Delivery]:
    told: list[Delivery] = []

    async def note(recorded: Sequence[Delivery]) -> None:
        told.extend(recorded)

    process.recording.listeners.append(note)
    return told


async def test_state_event_and_task_are_recorded_together(world: World, process: Process, told: list[Delivery]) -> None:
    user = await process.register_user(a_user().email, "Ann")

    assert await world.store.users.get(user.id) == user
    event, task = told
    assert [await world.store.ledger.get(one.id) is not None for one in (event, task)] == [True, True]
    assert read_event(event.message) == UserRegistered.of(user, id=UUID(event.id))
    assert event.partition == partition_of(str(user.id), PARTITIONS)
    assert (task.lane, task.name, task.subject) == (Lane.TASK, "send_welcome_email", str(user.id))


async def test_leaving_without_commit_drops_everything(world: World, process: Process, told: list[Delivery]) -> None:
    user = a_user()

    async with process.recording() as work:
        work.users.add(user)
        work.publish(UserRegistered.of(user, id=an_id()))
        work.enqueue(SendWelcomeEmail(id=an_id(), user_id=user.id))

    assert await world.store.users.get(user.id) is None
    assert not await world.store.ledger.counts()
    assert told == []


async def test_a_refused_commit_records_nothing_and_tells_nobody(
    world: World, process: Process, told: list[Delivery]
) -> None:
    first = await process.register_user(a_user().email, None)
    told.clear()
    before = await world.store.ledger.counts()

    with pytest.raises(EmailAlreadyRegistered):
        await process.register_user(first.email, None)
    async with process.recording() as work:
        work.orders.add(an_order(user=a_user()))
        with pytest.raises(UnknownUser):
            await work.commit()

    assert await world.store.ledger.counts() == before
    assert told == []


async def test_a_conflict_that_is_no_refusal_is_passed_on(process: Process) -> None:
    order = await process.place_order()

    async with process.recording() as work:
        work.orders.save(order)

        with pytest.raises(Conflict):
            await work.commit()


async def test_reading_inside_does_not_see_what_is_not_committed(process: Process) -> None:
    user = a_user()

    async with process.recording() as work:
        work.users.add(user)

        assert await work.users.get(user.id) is None


async def test_an_event_too_large_for_any_broker_is_refused_before_the_commit(process: Process) -> None:
    user = a_user()
    object.__setattr__(user, "name", "x" * BODY_MOST)

    async with process.recording() as work:
        with pytest.raises(Rejected):
            work.publish(UserRegistered.of(user, id=an_id()))


async def test_an_answer_is_kept_with_what_was_done(world: World, process: Process) -> None:
    user, answer = a_user(), an_answer()

    async with process.recording() as work:
        work.keep(answer)
        work.users.add(user)
        await work.commit()

    assert await world.store.answers.get(answer.id) == answer
    assert await world.store.users.get(user.id) == user


async def test_an_answer_too_large_to_be_kept_is_refused_before_the_commit(process: Process) -> None:
    async with process.recording() as work:
        with pytest.raises(Rejected):
            work.keep(an_answer(body=bytes(ANSWER_MOST + 1)))


@pytest.mark.parametrize("error", [Unavailable("away"), Unknown("perhaps")])
async def test_what_the_store_cannot_do_is_passed_on_and_nobody_is_told(world: World, error: Exception) -> None:
    store = FlakyPersistence(world.store)
    process = await world.process(store=store)
    store.fail_next(error)

    with pytest.raises(type(error)):
        await process.register_user(a_user().email, None)

    assert not process.memory_queue.waiting


async def test_a_listener_that_fails_does_not_fail_what_is_committed(world: World, process: Process) -> None:
    """A client that is told that it failed would do it again."""

    async def fails(_recorded: Sequence[Delivery]) -> None:
        raise RuntimeError("nobody there")

    process.recording.listeners.insert(0, fails)

    user = await process.register_user(a_user().email, None)

    assert await world.store.users.get(user.id) == user
    assert len(process.memory_queue.waiting) == 1


async def test_a_caller_that_goes_away_during_the_commit_loses_nothing(world: World, process: Process) -> None:
    registering = asyncio.create_task(process.register_user(a_user().email, None))
    await asyncio.sleep(0)

    registering.cancel()
    await asyncio.gather(registering, return_exceptions=True)

    assert await world.deliveries(Lane.EVENT) == 1
    await world.clock.advance(20)
    await process.task_relay.step()
    await world.clock.advance(5)
    await process.task_relay.step()
    await process.memory_queue.perform_all()
    assert len(world.mailer.sent) == 1


async def test_a_task_is_born_claimed_by_the_process_that_performs_it(
    world: World, process: Process, told: list[Delivery]
) -> None:
    await process.register_user(a_user().email, None)

    _, task = told
    assert (task.holder, task.attempts) == (process.name, 0)
    assert task.due_at == world.clock.now() + timedelta(seconds=15)
    assert not await world.store.ledger.due(Lane.TASK, now=world.clock.now(), limit=10)


async def test_a_task_is_due_at_once_when_a_queue_carries_it(world: World) -> None:
    process = await world.process(performs_here=False)

    await process.register_user(a_user().email, None)

    (task,) = await world.store.ledger.due(Lane.TASK, now=world.clock.now(), limit=10)
    assert task.holder is None
