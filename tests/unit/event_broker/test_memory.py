import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from adapters.clock import SystemClock
from adapters.event_broker.memory import MemoryEventBroker
from adapters.ids import UuidV7Ids
from ports.errors import Unavailable
from ports.event_broker import EventBroker
from ports.message import Message
from tests.builders import a_message
from tests.contracts.event_broker import EventBrokerContract, by_id, in_order
from tests.contracts.event_broker_outage import EventBrokerOutageContract


def a_broker(*, partitions: int = 4, most_messages: int = 100_000) -> MemoryEventBroker:
    return MemoryEventBroker(UuidV7Ids(SystemClock()), partitions=partitions, most_messages=most_messages)


class TestMemoryEventBroker(EventBrokerContract):
    @pytest.fixture
    async def broker(self) -> AsyncIterator[EventBroker]:
        broker = a_broker(partitions=self.partitions)
        await broker.start()
        yield broker
        await broker.stop()

    @asynccontextmanager
    async def audit(self, broker: EventBroker, topic: str) -> AsyncIterator[Callable[[], Awaitable[list[Message]]]]:
        async def look() -> list[Message]:
            assert isinstance(broker, MemoryEventBroker)
            return [message for message in broker.published if message.topic == topic]

        yield look


class TestMemoryEventBrokerOutage(EventBrokerOutageContract):
    """It is its own server: stopped, nobody reaches it, and what it holds is there when it is started again."""

    @pytest.fixture
    async def broker(self) -> AsyncIterator[EventBroker]:
        broker = a_broker(partitions=self.partitions)
        await broker.start()
        yield broker
        await broker.stop()

    async def take_away(self, broker: EventBroker) -> None:
        await broker.stop()

    async def bring_back(self, broker: EventBroker) -> None:
        await broker.start()


@pytest.fixture
async def broker() -> MemoryEventBroker:
    broker = a_broker()
    await broker.start()
    await broker.declare(["order_events"], "crossdock")
    return broker


async def test_each_instance_is_another_broker() -> None:
    one, other = a_broker(), a_broker()
    await one.start()
    await other.start()

    assert await one.identity() != await other.identity()


async def test_nothing_is_known_before_it_is_started() -> None:
    broker = a_broker()

    with pytest.raises(Unavailable):
        await broker.identity()
    with pytest.raises(Unavailable):
        await broker.backlog(["order_events"], "crossdock")


async def test_what_nobody_would_get_is_not_confirmed(broker: MemoryEventBroker) -> None:
    (outcome,) = await broker.publish([a_message(topic="nobodys_events")])

    assert isinstance(outcome, Unavailable)


async def test_nothing_more_is_taken_when_it_is_full() -> None:
    broker = a_broker(most_messages=3)
    await broker.start()
    await broker.declare(["order_events", "user_events"], "crossdock")
    messages = [a_message(topic=topic) for topic in ("order_events", "user_events") * 2]

    outcomes = await broker.publish(messages)

    assert outcomes[:3] == [None] * 3
    assert isinstance(outcomes[3], Unavailable)


async def test_there_is_room_again_when_every_group_has_acknowledged() -> None:
    broker = a_broker(most_messages=1)
    await broker.start()
    for group in ("one", "other"):
        await broker.declare(["order_events"], group)
    await broker.publish([a_message()])

    for group, confirmed in (("one", False), ("other", True)):
        member = broker.subscribe(["order_events"], group)
        await member.acknowledge(await member.receive(limit=1))

        (outcome,) = await broker.publish([a_message()])
        assert (outcome is None) is confirmed


async def test_a_member_that_joins_takes_its_share_and_what_was_in_hand_comes_again(
    broker: MemoryEventBroker,
) -> None:
    messages = [a_message() for _ in range(40)]
    await broker.publish(messages)
    first = broker.subscribe(["order_events"], "crossdock")
    all_of_them = await first.receive(limit=100)
    assert by_id(in_order(all_of_them)) == by_id(messages)

    second = broker.subscribe(["order_events"], "crossdock")

    taken_over = await second.receive(limit=100)
    await first.acknowledge(all_of_them)
    assert 0 < len(in_order(taken_over)) < 40
    assert await broker.backlog(["order_events"], "crossdock") == len(in_order(taken_over))
    await second.acknowledge(taken_over)
    assert await broker.backlog(["order_events"], "crossdock") == 0


async def test_a_waiting_member_takes_over_from_one_that_leaves(broker: MemoryEventBroker) -> None:
    first = broker.subscribe(["order_events"], "crossdock")
    second = broker.subscribe(["order_events"], "crossdock")
    await broker.publish([a_message() for _ in range(40)])
    ours = await second.receive(limit=100)
    await second.acknowledge(ours)
    waiting = asyncio.create_task(second.receive(limit=100))
    await asyncio.sleep(0)

    await first.close()

    assert len(in_order(ours)) + len(in_order(await waiting)) == 40


async def test_messages_without_a_subject_are_spread(broker: MemoryEventBroker) -> None:
    await broker.publish([a_message(subject="") for _ in range(8)])

    batches = await broker.subscribe(["order_events"], "crossdock").receive(limit=100)

    assert [len(batch.messages) for batch in batches] == [2, 2, 2, 2]


async def test_waiting_costs_nothing() -> None:
    """A member that waits is woken by what happens, and does not look again and again."""
    broker = a_broker()
    await broker.start()
    waiting = asyncio.create_task(broker.subscribe(["order_events"], "crossdock").receive(limit=1))
    for _ in range(3):
        await asyncio.sleep(0)

    assert not asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    assert not asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    waiting.cancel()


async def test_the_latest_messages_are_kept_for_suites_to_look_at(broker: MemoryEventBroker) -> None:
    messages = [a_message() for _ in range(10_001)]

    await broker.publish([*messages, a_message(topic="nobodys_events")])

    assert list(broker.published) == messages[1:]
