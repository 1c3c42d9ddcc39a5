"""Kafka on a server that is killed, frozen and started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest

from adapters.event_broker.kafka.broker import KafkaEventBroker
from adapters.event_broker.kafka.cluster import IDENTITY_FRESH, IDENTITY_SECONDS
from ports.errors import Unavailable
from ports.event_broker import EventBroker
from ports.message import BODY_MOST
from tests.builders import a_message
from tests.contracts.event_broker_outage import EventBrokerOutageContract
from tests.integration.event_broker.kafka import (
    a_broker,
    a_reader,
    become,
    configure,
    confirmed,
    nodes,
    receive,
    receive_until,
    replicas,
    second_node,
)
from tests.services import private
from tools.services.kafka import Kafka


@pytest.fixture(scope="module")
def own_server() -> Iterator[Kafka]:
    with private(Kafka) as server:
        yield server


@pytest.fixture
async def server(own_server: Kafka) -> AsyncIterator[Kafka]:
    """It runs, and is left as it may be."""
    own_server.thaw()
    await asyncio.to_thread(own_server.start)
    yield own_server
    own_server.thaw()


class TestKafkaOutage(EventBrokerOutageContract):
    patience: ClassVar[float] = 60

    @pytest.fixture
    async def broker(self, server: Kafka) -> AsyncIterator[EventBroker]:
        self._server = server
        broker = a_broker(server.address, partitions=self.partitions)
        await broker.start()
        yield broker
        await broker.stop()

    async def a_moment(self) -> None:
        await asyncio.sleep(0.05)

    async def take_away(self, broker: EventBroker) -> None:  # noqa: ARG002 - the hook's
        await asyncio.to_thread(self._server.kill)

    async def bring_back(self, broker: EventBroker) -> None:  # noqa: ARG002 - the hook's
        await asyncio.to_thread(self._server.start)


@pytest.fixture
async def broker(server: Kafka) -> AsyncIterator[KafkaEventBroker]:
    broker = a_broker(server.address, seconds=3)
    await broker.start()
    try:
        await until(True, lambda: is_declared(broker))  # a server that has just come back may not be ready
        yield broker
    finally:
        await broker.stop()


async def test_a_server_that_is_frozen_holds_no_call_up(broker: KafkaEventBroker, server: Kafka) -> None:
    """It takes connections and answers nothing: each call ends by its own deadline."""
    await broker.publish([a_message(topic="order_events")])
    server.freeze()

    started = asyncio.get_running_loop().time()
    outcomes, *others = await asyncio.gather(
        broker.publish([a_message(topic="order_events") for _ in range(20)]),
        broker.backlog(["order_events"], "crossdock"),
        broker.declare(["order_events"], "other"),
        return_exceptions=True,
    )

    assert asyncio.get_running_loop().time() - started < 2 * 3
    assert not isinstance(outcomes, BaseException)
    assert all(isinstance(outcome, Unavailable) for outcome in (*outcomes, *others))


async def test_which_cluster_it_is_is_not_known_soon_after_a_server_froze(
    broker: KafkaEventBroker, server: Kafka
) -> None:
    await broker.identity()
    server.freeze()

    async def is_known() -> bool:
        try:
            return bool(await broker.identity())
        except Unavailable:
            return False

    async with asyncio.timeout(2 * (IDENTITY_FRESH + IDENTITY_SECONDS)):
        await until(False, is_known)


async def test_a_member_of_a_frozen_server_is_told_and_goes_on_when_it_thaws(
    broker: KafkaEventBroker, server: Kafka
) -> None:
    member = broker.subscribe(["order_events"], "crossdock")
    first, second = (a_message(topic="order_events", subject="s") for _ in range(2))
    await broker.publish([first])
    assert await receive(member, 1) == [first]
    server.freeze()

    async with asyncio.timeout(15):
        with pytest.raises(Unavailable):
            await member.receive(limit=1)

    server.thaw()
    await confirmed(broker, second)
    assert second in await receive_until(member, second)


async def test_a_frozen_server_holds_nobody_up_who_stops(broker: KafkaEventBroker, server: Kafka) -> None:
    member = broker.subscribe(["order_events"], "crossdock")
    await broker.publish([a_message(topic="order_events")])
    await receive(member, 1)
    server.freeze()
    messages = [a_message(b"x" * BODY_MOST, topic="order_events") for _ in range(20)]
    publishing = asyncio.ensure_future(broker.publish(messages))
    await asyncio.sleep(0.5)  # until the connection takes no more

    async with asyncio.timeout(15):
        await broker.stop()
        outcomes = await publishing

    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)


async def test_the_same_messages_sent_again_by_another_producer_keep_their_order(
    broker: KafkaEventBroker, server: Kafka
) -> None:
    """What a producer that was thrown away goes on repeating must not come behind what is sent after it."""
    messages = [a_message(topic="order_events", subject="s", sequence=str(number)) for number in range(1, 11)]
    async with a_reader(server.address, broker._prefix + "order_events") as look:
        for message in messages[:5]:
            await confirmed(broker, message)
        server.freeze()
        (outcome,) = await broker.publish([messages[5]])
        assert isinstance(outcome, Unavailable)
        server.thaw()
        for message in messages[5:]:
            await confirmed(broker, message)

        records = await become(look, 10)

    seen = [dict(record.headers)["ce_sequence"].decode() for record in records]
    assert list(dict.fromkeys(seen)) == [message.attributes["sequence"] for message in messages]


async def test_nothing_is_left_of_a_broker_that_was_stopped_in_an_outage(server: Kafka) -> None:
    """No task and no connection, whatever was going on."""
    before = asyncio.all_tasks()
    broker = a_broker(server.address, seconds=2)
    await broker.start()
    await until(True, lambda: is_declared(broker))
    members = [broker.subscribe(["order_events"], "crossdock") for _ in range(2)]
    await broker.publish([a_message(topic="order_events")])
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await members[0].receive(limit=1)
    await asyncio.to_thread(server.kill)
    await broker.publish([a_message(topic="order_events")])

    await broker.stop()

    async with asyncio.timeout(30):
        while left := asyncio.all_tasks() - before:
            await asyncio.wait(left, timeout=1)


@pytest.fixture
async def broker_of_two(
    broker: KafkaEventBroker,  # noqa: ARG001 - has had the places of groups made on the first node, which stays
    server: Kafka,
) -> AsyncIterator[KafkaEventBroker]:
    of_two = a_broker(server.address, seconds=3, replication_factor=2)
    await of_two.start()
    yield of_two
    await until(1, lambda: nodes(server.address))  # or the next test's topics would be placed on the dead one
    await of_two.stop()


async def test_what_too_few_replicas_would_have_is_not_confirmed(
    broker_of_two: KafkaEventBroker, server: Kafka, tmp_path: Path
) -> None:
    broker, topic = broker_of_two, broker_of_two._prefix + "order_events"
    with second_node(server, tmp_path / "second"):
        await until(2, lambda: nodes(server.address))
        await until(True, lambda: is_declared(broker))
        await configure(server.address, topic, {"min.insync.replicas": "2"})
        await until({2}, lambda: replicas(server.address, topic))
        await confirmed(broker, a_message(topic="order_events"))
    await until({1}, lambda: replicas(server.address, topic))

    (outcome,) = await broker.publish([a_message(topic="order_events")])

    assert isinstance(outcome, Unavailable)
    assert "replicas" in str(outcome)
    await configure(server.address, topic, {"min.insync.replicas": "1"})
    await confirmed(broker, a_message(topic="order_events"))


async def test_a_node_that_died_is_passed_over_for_one_that_is_ready(
    broker_of_two: KafkaEventBroker, server: Kafka, tmp_path: Path
) -> None:
    """The cluster names a dead node for seconds; whoever asks it is not to wait that long."""
    with second_node(server, tmp_path / "second"):
        await until(2, lambda: nodes(server.address))
        await until(True, lambda: is_declared(broker_of_two))
        await broker_of_two.stop()
        await broker_of_two.start()
        assert not await broker_of_two.missing(["order_events"], "crossdock")

    found = [await broker_of_two.missing(["order_events"], "crossdock") for _ in range(10)]

    assert not any(found)


async def is_declared(broker: KafkaEventBroker) -> bool:
    try:
        await broker.declare(["order_events"], "crossdock")
    except Unavailable:
        return False
    return True


async def until(wanted: object, look: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while await look() != wanted:  # noqa: ASYNC110 it is another process
            await asyncio.sleep(0.1)


async def test_what_the_disk_has_damaged_is_passed_over_and_told(
    server: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    """A message stands in its place, and says where it was; what is around it comes as it was sent."""
    broker = a_broker(server.address, partitions=1)
    await broker.start()
    await broker.declare(["order_events"], "crossdock")
    before, damaged, after = (
        a_message(body, topic="order_events", subject="s") for body in (b"before", b"in between", b"after")
    )
    for message in (before, damaged, after):
        assert list(await broker.publish([message])) == [None]
    (segment,) = (server.folder / "data").glob(f"{broker._prefix}order_events-0/*.log")
    with segment.open("r+b") as file:
        file.seek(segment.read_bytes().index(damaged.body))
        file.write(b"IN")

    received = await receive_until(broker.subscribe(["order_events"], "crossdock"), after)

    assert received[::2] == [before, after]
    assert received[1].attributes == {}
    said = f"the record at offset 1 of {broker._prefix}order_events 0 cannot be read: its checksum is wrong"
    assert received[1].body.decode() == said
    assert caplog.text.count(said) == 1
    await broker.stop()
