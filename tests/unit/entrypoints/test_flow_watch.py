from datetime import timedelta

import pytest

from adapters.event_broker.memory import MemoryEventBroker
from adapters.ids import UuidV7Ids
from adapters.persistence.memory import MemoryPersistence
from entrypoints.backlog import Backlog
from entrypoints.flow_watch import KEPT_MOST, FlowWatch
from ports.deliveries import Lane, State
from ports.errors import Unavailable
from ports.persistence import Record, Remember, Remove, Replace
from tests.builders import a_delivery, a_message, a_task
from tests.clock import ManualClock


class SilentBroker(MemoryEventBroker):
    """Does not say what it has."""

    async def backlog(self, topics: object, group: str) -> int:  # noqa: ARG002
        raise Unavailable("away")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> MemoryPersistence:
    store = MemoryPersistence(clock)
    await store.start()
    return store


@pytest.fixture
def broker(clock: ManualClock) -> MemoryEventBroker:
    return MemoryEventBroker(UuidV7Ids(clock), partitions=4)


@pytest.fixture
def watch(store: MemoryPersistence, broker: MemoryEventBroker, clock: ManualClock) -> FlowWatch:
    return watch_of(store, broker, clock)


def watch_of(store: MemoryPersistence, broker: MemoryEventBroker, clock: ManualClock) -> FlowWatch:
    return FlowWatch(store.ledger, Backlog(store, broker, clock, topics=["order_events"], group="crossdock"), clock)


async def test_it_is_told_how_fast_things_are_recorded_handled_and_done(
    watch: FlowWatch, store: MemoryPersistence, clock: ManualClock
) -> None:
    await watch.look()
    await clock.advance(4)
    tasks = [a_task() for _ in range(8)]
    await store.commit([Record(task) for task in tasks])
    await store.commit([Remove(task.id, 1) for task in tasks[:6]])
    await store.commit([Remember("g", "shop", f"m-{n}", clock.now()) for n in range(5)])

    look = await watch.look()

    assert (look.recorded_rate, look.done_rate, look.handled_rate) == (2.0, 1.5, 0.5)


async def test_the_first_look_and_one_after_a_long_while_have_nothing_to_compare_with(
    watch: FlowWatch, clock: ManualClock
) -> None:
    first = await watch.look()
    await clock.advance(31)
    late = await watch.look()

    assert [(look.recorded_rate, look.done_rate) for look in (first, late)] == [(None, None)] * 2


async def test_what_a_person_gives_up_is_done(watch: FlowWatch, store: MemoryPersistence, clock: ManualClock) -> None:
    dead = a_task().died("no such mailbox", clock.now(), attempts=1)
    await store.commit([Record(dead)])
    await watch.look()
    await store.commit([Replace(dead.discarded(clock.now()), dead.token)])
    await clock.advance(2)

    assert (await watch.look()).done_rate == 0.5


async def test_it_is_told_how_long_the_first_has_waited(
    watch: FlowWatch, store: MemoryPersistence, clock: ManualClock
) -> None:
    now = clock.now()
    await store.commit([Record(a_delivery(due_at=now - timedelta(seconds=90)))])
    await store.commit([Record(a_task(due_at=now + timedelta(seconds=30)))])  # in somebody's hands

    await store.commit([Record(a_delivery().sent("broker-1", now - timedelta(seconds=20)))])

    look = await watch.look()

    assert look.waits == {
        (Lane.EVENT, State.READY): 90.0,
        (Lane.EVENT, State.SENT): 20.0,
        (Lane.TASK, State.READY): 0.0,
    }


async def test_however_many_look_the_store_is_asked_every_two_seconds(
    watch: FlowWatch, store: MemoryPersistence, clock: ManualClock
) -> None:
    first = await watch.look()
    await store.commit([Record(a_task())])
    again = await watch.look()
    await clock.advance(2)
    later = await watch.look()

    assert again is first
    assert later.counts == {(Lane.TASK, State.READY): 1}


async def test_what_the_broker_has_for_our_group_is_told(watch: FlowWatch, broker: MemoryEventBroker) -> None:
    await broker.start()
    await broker.declare(["order_events"], "crossdock")
    await broker.publish([a_message()])

    assert (await watch.look()).backlog == 1


async def test_without_its_store_it_cannot_look(watch: FlowWatch, store: MemoryPersistence) -> None:
    await store.stop()

    with pytest.raises(Unavailable):
        await watch.look()


async def test_a_broker_that_does_not_say_spoils_nothing(store: MemoryPersistence, clock: ManualClock) -> None:
    silent = SilentBroker(UuidV7Ids(clock), partitions=4)

    look = await watch_of(store, silent, clock).look()

    assert look.backlog is None


async def test_the_last_two_minutes_are_remembered(watch: FlowWatch, clock: ManualClock) -> None:
    for _ in range(KEPT_MOST + 5):
        await watch.look()
        await clock.advance(2)

    assert len(watch.history) == KEPT_MOST
    assert watch.history[-1].at - watch.history[0].at == timedelta(seconds=118)
