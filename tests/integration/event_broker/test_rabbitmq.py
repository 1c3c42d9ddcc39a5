"""RabbitMQ keeps what every event broker promises; and what it alone can do to us is survived."""

import asyncio
import logging
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop
from pika.spec import BasicProperties  # type: ignore[import-untyped]

from adapters.event_broker.rabbitmq import subscription
from adapters.event_broker.rabbitmq.broker import RabbitMqEventBroker
from adapters.event_broker.rabbitmq.partition import PREFETCH
from ports.errors import Rejected, Unavailable
from ports.event_broker import EventBroker, Subscription
from ports.message import Message, partition_of
from ports.shares import Shares
from tests.builders import a_message, an_id
from tests.contracts.event_broker import EventBrokerCases, EventBrokerContract, by_id, in_order
from tests.contracts.event_broker_outage import EventBrokerOutageContract
from tests.integration.event_broker.rabbitmq import Environment, Other, audited, control, vanish
from tests.services import private
from tools.services import addresses
from tools.services.rabbitmq import RabbitMQ

PATIENCE = 40.0
GROUP = "ours"


@pytest.fixture
async def environment(rabbitmq_url: str) -> AsyncIterator[Environment]:
    """On the standing server."""
    environment = Environment(rabbitmq_url, addresses.RABBITMQ_MANAGEMENT)
    await environment.start()
    yield environment
    await asyncio.to_thread(environment.remove)


@pytest.fixture
async def broker(environment: Environment) -> AsyncIterator[RabbitMqEventBroker]:
    async with environment.started() as broker:
        await broker.declare(["t"], GROUP)
        yield broker


@pytest.fixture
async def other(environment: Environment) -> AsyncIterator[Other]:
    other = Other(environment.url)
    yield other
    await other.close()


@pytest.fixture(scope="module")
def own_server() -> Iterator[RabbitMQ]:
    """A server that a case may kill, freeze and starve; the next one starts it again."""
    with private(RabbitMQ) as server:
        yield server


@pytest.fixture
async def own_environment(own_server: RabbitMQ) -> AsyncIterator[Environment]:
    await asyncio.to_thread(own_server.start)
    environment = Environment(own_server.address, own_server.management)
    await environment.start()
    yield environment
    own_server.thaw()
    await asyncio.to_thread(own_server.start)
    await asyncio.to_thread(environment.remove)


class OnRabbitMq(EventBrokerCases):
    """The hooks that both suites have."""

    async def a_moment(self) -> None:
        await asyncio.sleep(0.02)


class TestRabbitMqEventBroker(OnRabbitMq, EventBrokerContract):
    @pytest.fixture
    async def broker(self, environment: Environment) -> AsyncIterator[EventBroker]:
        self.environment = environment
        async with environment.started() as broker:
            yield broker

    async def abandon(self, broker: EventBroker, member: Subscription) -> None:  # noqa: ARG002 - a hook
        await vanish(member)

    @asynccontextmanager
    async def audit(
        self,
        broker: EventBroker,  # noqa: ARG002 - a hook
        topic: str,
    ) -> AsyncIterator[Callable[[], Awaitable[list[Message]]]]:
        async with audited(self.environment, topic) as look:
            yield look


class TestRabbitMqEventBrokerOutage(OnRabbitMq, EventBrokerOutageContract):
    @pytest.fixture
    async def broker(self, own_environment: Environment, own_server: RabbitMQ) -> AsyncIterator[EventBroker]:
        self.server = own_server
        async with own_environment.started() as broker:
            yield broker

    @pytest.fixture
    async def topic(self, broker: EventBroker, group: str) -> str:
        """Declared a while ago: RabbitMQ writes the directory of its quorum queues half a second late.

        A queue that is a second old outlives a kill with all that was confirmed; a newer one may not.
        """
        topic = f"topic-{an_id().hex}"
        await broker.declare([topic], group)
        await asyncio.sleep(2)
        return topic

    async def take_away(self, broker: EventBroker) -> None:  # noqa: ARG002 - a hook
        await asyncio.to_thread(self.server.kill)

    async def bring_back(self, broker: EventBroker) -> None:  # noqa: ARG002 - a hook
        await asyncio.to_thread(self.server.start)


# What the cases below are written with


class Member:
    """Receives all the time and acknowledges each batch after a while, like a consumer that works."""

    def __init__(self, broker: EventBroker, story: list[Message], *, works: float = 0.0, topic: str = "t") -> None:
        self.subscription = broker.subscribe([topic], GROUP)
        self.seen: list[Message] = []
        self._story = story
        self._works = works
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        working: set[asyncio.Task[None]] = set()
        while True:
            try:
                batches = await self.subscription.receive(limit=10)
            except Unavailable:
                await asyncio.sleep(0.05)
                continue
            if not batches:
                return
            for batch in batches:
                messages = list(batch.messages)
                self.seen += messages
                self._story += messages
                task = asyncio.create_task(self._finish(batch))
                working.add(task)
                task.add_done_callback(working.discard)

    async def _finish(self, batch: Any) -> None:
        await asyncio.sleep(self._works)
        await self.subscription.acknowledge([batch])

    async def leave(self) -> None:
        await self.subscription.close()
        await self.end()

    async def vanish(self) -> None:
        await self.end()  # first: who still receives would begin anew
        await vanish(self.subscription)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


def assert_in_order(story: list[Message], published: list[Message]) -> None:
    """Each was seen, and first seen in the order of its subject."""
    first_seen = list(dict.fromkeys(message.attributes["id"] for message in story))
    for subject in {message.subject for message in published}:
        ours = [message.attributes["id"] for message in published if message.subject == subject]
        assert [id_ for id_ in first_seen if id_ in set(ours)] == ours


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not done():  # noqa: ASYNC110 - a server, or another member, has to catch up
            await asyncio.sleep(0.02)


async def received(member: Subscription, number: int) -> list[Message]:
    messages: list[Message] = []
    async with asyncio.timeout(PATIENCE):
        while len(messages) < number:
            batches = await member.receive(limit=100)
            messages += in_order(batches)
            await member.acknowledge(batches)
    return messages


def subject_in(partition: int, partitions: int = 4) -> str:
    return next(name for name in map("subject-{}".format, count()) if partition_of(name, partitions) == partition)


async def published(broker: EventBroker, *messages: Message) -> list[Message]:
    """One after the other, as the relay does it with what has one subject."""
    for message in messages:
        assert list(await broker.publish([message])) == [None]
    return list(messages)


async def confirmed_at_last(broker: EventBroker, message: Message) -> None:
    async with asyncio.timeout(PATIENCE):
        while list(await broker.publish([message])) != [None]:  # noqa: ASYNC110 - a server has to come back
            await asyncio.sleep(0.05)


# Publishing


async def test_what_nobody_would_get_is_unavailable_and_the_rest_of_its_batch_is_confirmed(
    broker: RabbitMqEventBroker,
) -> None:
    nobodys = a_message(topic="nobodys")
    batch = [a_message(topic="t"), nobodys, nobodys, a_message(topic="t"), a_message(topic="nobodys_either")]

    first, *lost, fourth, fifth = await broker.publish(batch)

    assert (first, fourth) == (None, None)
    for outcome in (*lost, fifth):
        assert isinstance(outcome, Unavailable)
        assert "no queue is bound" in str(outcome)


async def test_what_the_server_refuses_is_unavailable(
    broker: RabbitMqEventBroker, environment: Environment, other: Other
) -> None:
    """A queue of somebody else's that is full and takes no more: the server says so for the whole message."""

    def fill(channel: Any) -> None:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(f"{environment.prefix}full", durable=True, auto_delete=False, arguments=arguments)
        channel.queue_bind(f"{environment.prefix}full", environment.exchange, "t.*")

    await other.do(fill)
    await broker.publish([a_message(topic="t")])

    outcomes = await broker.publish([a_message(topic="t") for _ in range(5)])

    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
    await other.do(lambda channel: channel.queue_delete(f"{environment.prefix}full"))
    assert list(await broker.publish([a_message(topic="t")])) == [None]


async def test_many_more_messages_than_may_be_on_their_way_are_confirmed(broker: RabbitMqEventBroker) -> None:
    outcomes = await broker.publish([a_message(topic="t") for _ in range(3_000)])

    assert list(outcomes) == [None] * 3_000
    assert await broker.backlog(["t"], GROUP) == 3_000


async def test_attributes_that_the_server_would_close_the_connection_for_are_rejected(
    broker: RabbitMqEventBroker,
) -> None:
    """All of them go into one frame; what fits into it is carried, up to the last byte."""

    def sized(size: int) -> Message:
        return Message(topic="t", attributes={"note": "x" * size}, body=b"")

    # A frame of 128 KiB, less its own 8 bytes, 12 of the header, 2 of flags, 4 of the table, 13 of the name, 1 of mode.
    fits, too_large = sized(131_072 - 40), sized(131_072 - 39)

    outcomes = await broker.publish([a_message(topic="t"), too_large, fits])

    assert (outcomes[0], outcomes[2]) == (None, None)
    assert isinstance(outcomes[1], Rejected)


async def test_an_exchange_that_vanished_is_unavailable_until_it_is_declared_again(
    broker: RabbitMqEventBroker, environment: Environment, other: Other
) -> None:
    await broker.publish([a_message(topic="t")])
    await other.do(lambda channel: channel.exchange_delete(environment.exchange))

    (outcome,) = await broker.publish([a_message(topic="t")])
    await broker.declare(["t"], GROUP)

    assert isinstance(outcome, Unavailable)
    assert list(await broker.publish([a_message(topic="t")])) == [None]


# What others do


async def test_what_others_publish_with_the_bare_topic_arrives_whatever_its_headers(
    broker: RabbitMqEventBroker, environment: Environment, other: Other
) -> None:
    odd = {"ce-id": 7, "ce-type": b"\xff", "ce-note": {"a": [1, True]}, "ce-time": None, "theirs": "x", "ce-": "x"}
    await other.publish(environment.exchange, "t", b"odd", application_headers=odd)
    await other.publish(environment.exchange, "t", b"bare")
    await other.publish(environment.exchange, "t.2", b"ours", application_headers={"ce-subject": "s"}, delivery_mode=1)

    member = broker.subscribe(["t"], GROUP)
    messages = {message.body: message for message in await received(member, 3)}
    await member.close()

    assert messages[b"odd"].attributes == {"id": "7", "type": "\ufffd", "note": '{"a":[1,true]}', "": "x"}
    assert messages[b"bare"] == Message(topic="t", attributes={}, body=b"bare")
    assert messages[b"ours"].subject == "s"


async def test_headers_that_cannot_be_read_hold_up_nobody(
    broker: RabbitMqEventBroker, environment: Environment, other: Other
) -> None:
    """A time after the year 9999: the server lets it pass, and pika cannot make anything of it."""

    class FarFuture:
        INDEX = BasicProperties.INDEX

        def encode(self) -> list[bytes]:
            table = b"\x07ce-note" + struct.pack(">cQ", b"T", 2**62)
            return [struct.pack(">HI", BasicProperties.FLAG_HEADERS, len(table)), table]

    connection = await broker._connect()
    (await connection.channel()).pika.basic_publish(environment.exchange, "t", b"poison", FarFuture())
    await connection.close()
    await other.publish(environment.exchange, "t", b"next", application_headers={"ce-id": "m-2"})

    member = broker.subscribe(["t"], GROUP)
    poison, after_it = await received(member, 2)
    await member.close()

    assert poison == Message(topic="t", attributes={}, body=b"poison")
    assert after_it.attributes == {"id": "m-2"}


# Declaring


async def test_a_queue_with_other_arguments_is_rejected_and_the_reason_is_told(
    environment: Environment, other: Other
) -> None:
    name = f"{environment.prefix}{GROUP}.t.0"
    await other.do(lambda channel: channel.queue_declare(name, durable=True, auto_delete=False))

    async with environment.started() as broker:
        with pytest.raises(Rejected, match=f"inequivalent arg.*{name}"):
            await broker.declare(["t"], GROUP)
        member = broker.subscribe(["t"], GROUP)
        with pytest.raises(Unavailable, match="inequivalent arg"):
            await member.receive(limit=1)
        await member.close()


async def test_the_queues_are_durable_quorum_queues_with_a_single_active_consumer(
    broker: RabbitMqEventBroker, environment: Environment
) -> None:
    await broker.identity()
    queues = {queue["name"]: queue for queue in await asyncio.to_thread(environment.queues)}

    assert set(queues) == {f"{environment.prefix}{GROUP}.t.{partition}" for partition in range(4)}
    for queue in queues.values():
        assert (queue["durable"], queue["type"]) == (True, "quorum")
        assert queue["arguments"]["x-single-active-consumer"] is True
        assert queue["arguments"].get("x-delivery-limit") in {None, -1}


# Members


@pytest.mark.parametrize("works", [0, 0.05], ids=["quickly", "slowly"])
async def test_members_that_join_leave_and_vanish_keep_the_order_and_lose_nothing(
    environment: Environment, works: float
) -> None:
    subjects = [f"subject-{number}" for number in range(24)]
    all_published: list[Message] = []
    story: list[Message] = []
    async with environment.started() as broker, environment.started() as second, environment.started() as third:
        await broker.declare(["t"], GROUP)

        async def keep_publishing() -> None:
            while True:
                batch = [a_message(topic="t", subject=subject) for subject in subjects]
                assert list(await broker.publish(batch)) == [None] * len(batch)
                all_published.extend(batch)
                await asyncio.sleep(0.02 + 4 * works)

        publishing = asyncio.create_task(keep_publishing())
        one = Member(broker, story, works=works)
        await until(lambda: bool(one.seen))
        two = Member(second, story, works=works)
        await until(lambda: bool(two.seen))
        three = Member(third, story, works=works)
        await until(lambda: bool(three.seen))
        await two.vanish()
        four = Member(second, story, works=works)
        await until(lambda: bool(four.seen))
        await one.leave()
        at = len(three.seen), len(four.seen)
        await until(lambda: len(three.seen) > at[0] and len(four.seen) > at[1])
        publishing.cancel()
        await asyncio.wait({publishing})
        await until(lambda: by_id(all_published).keys() <= by_id(story).keys())
        await three.leave()
        await four.leave()

    assert_in_order(story, all_published)


async def test_a_member_that_always_has_something_in_hand_shares_with_one_that_joins(environment: Environment) -> None:
    async with environment.started() as broker, environment.started() as second:
        await broker.declare(["t"], GROUP)
        story: list[Message] = []
        messages = [a_message(topic="t") for _ in range(3_000)]
        await broker.publish(messages)
        busy = Member(broker, story, works=0.3)
        await until(lambda: len(busy.seen) >= 40)

        joined = Member(second, story, works=0.3)

        await until(lambda: bool(joined.seen))
        await busy.leave()
        await joined.leave()


async def test_a_member_that_cannot_ask_for_its_share_lets_others_have_it(environment: Environment) -> None:
    """As one that is frozen, and one whose store is out of reach."""

    class Cut(Shares):
        def __init__(self, shares: Shares) -> None:
            self._shares = shares

        async def hold(self, side: str, **keep: Any) -> Any:
            await reachable.wait()
            return await self._shares.hold(side, **keep)

        async def give_back(self) -> None:
            await self._shares.give_back()

    reachable = asyncio.Event()
    reachable.set()
    story: list[Message] = []
    async with (
        environment.started(shares=lambda group: Cut(environment.shares(group))) as broker,
        environment.started() as second,
    ):
        await second.declare(["t"], GROUP)
        subject = subject_in(0)
        all_published = await published(second, *(a_message(topic="t", subject=subject) for _ in range(3)))
        cut_off = Member(broker, story)
        await until(lambda: len(cut_off.seen) == 3)
        taking_over = Member(second, story)

        reachable.clear()

        async with asyncio.timeout(PATIENCE):
            while not taking_over.seen:
                all_published += await published(second, a_message(topic="t", subject=subject))
                await asyncio.sleep(0.02)
        reachable.set()
        all_published += await published(second, *(a_message(topic="t", subject=subject) for _ in range(20)))
        await until(lambda: by_id(all_published).keys() <= by_id(story).keys())
        await cut_off.leave()
        await taking_over.leave()

    assert_in_order(story, all_published)


async def test_a_member_that_was_frozen_hands_out_nothing_that_became_anothers(environment: Environment) -> None:
    """Its event loop stands still for longer than its leases last, and its connection lives."""
    story: list[Message] = []
    all_published: list[Message] = []
    subject = subject_in(0)
    frozen, ended = threading.Event(), threading.Event()

    async def freezes() -> None:
        async with environment.started() as broker:
            member = Member(broker, story)
            await until(lambda: bool(member.seen))
            frozen.set()
            time.sleep(9)  # noqa: ASYNC251 - that is the case
            await until(ended.is_set)
            await member.leave()

    async with environment.started() as broker:
        await broker.declare(["t"], GROUP)
        freezing = asyncio.create_task(asyncio.to_thread(asyncio.run, freezes()))
        all_published += await published(broker, a_message(topic="t", subject=subject))
        await until(frozen.is_set)
        member = Member(broker, story)
        async with asyncio.timeout(PATIENCE):
            while not member.seen:
                all_published += await published(broker, a_message(topic="t", subject=subject))
                await asyncio.sleep(0.02)
        all_published += await published(broker, *(a_message(topic="t", subject=subject) for _ in range(20)))
        await until(lambda: by_id(all_published).keys() <= by_id(story).keys())
        ended.set()
        await freezing
        await member.leave()

    assert_in_order(story, all_published)
    assert len(story) == len(all_published)


async def test_what_was_brought_and_not_handed_out_comes_in_order_to_who_is_next(
    broker: RabbitMqEventBroker, environment: Environment
) -> None:
    """The next consumer waits at the queue already when this one, with messages in hand, is closed."""
    subject = subject_in(0)
    messages = await published(broker, *(a_message(topic="t", subject=subject) for _ in range(PREFETCH + 50)))
    first = broker.subscribe(["t"], GROUP)
    taken = in_order(await first.receive(limit=10))
    assert taken == messages[: len(taken)]
    await until(lambda: first.unacknowledged(["t"]) == PREFETCH)
    async with environment.started(shares=lambda _: environment.shares("apart")) as second:
        member = second.subscribe(["t"], GROUP)
        waiting = asyncio.create_task(received(member, len(messages)))
        async with asyncio.timeout(PATIENCE):
            while max(queue.get("consumers", 0) for queue in await asyncio.to_thread(environment.queues)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.2)

        await first.close()

        assert await waiting == messages
        await member.close()


async def test_what_stays_in_hand_too_long_goes_back_and_comes_again_only_when_it_is_given_up(
    broker: RabbitMqEventBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = subject_in(0)
    first, second = await published(broker, *(a_message(topic="t", subject=subject) for _ in range(2)))
    member = broker.subscribe(["t"], GROUP)
    batches = await member.receive(limit=1)
    assert in_order(batches) == [first]
    await until(lambda: member.unacknowledged(["t"]) == 2)

    monkeypatch.setattr(subscription, "IN_HAND_SECONDS", 0.5)

    await until(lambda: member.unacknowledged(["t"]) == 0)

    again = asyncio.create_task(received(member, 2))
    elsewhere = await published(broker, a_message(topic="t", subject=subject_in(1)))
    await until(lambda: not again.done())
    await asyncio.sleep(0)
    assert elsewhere[0].subject != subject
    await member.acknowledge(batches)
    messages = await again
    messages += await received(member, 3 - len(messages))
    assert [message for message in messages if message.subject == subject] == [first, second]
    await member.close()


async def test_a_channel_that_the_server_closes_is_opened_again(broker: RabbitMqEventBroker) -> None:
    member = broker.subscribe(["t"], GROUP)
    subject = subject_in(0)
    messages = await published(broker, *(a_message(topic="t", subject=subject) for _ in range(3)))
    batches = await member.receive(limit=1)

    consumer = member._partitions[0].consumer
    assert consumer is not None
    consumer._channel.pika.basic_ack(4711)  # which the server never gave
    await until(lambda: member._partitions[0].consumer is None)
    await member.acknowledge(batches)

    assert await received(member, 3) == messages
    await member.close()


async def test_a_queue_that_is_deleted_under_its_consumer_is_declared_and_consumed_again(
    broker: RabbitMqEventBroker, environment: Environment, other: Other
) -> None:
    member = broker.subscribe(["t"], GROUP)
    await published(broker, a_message(topic="t"))
    await received(member, 1)
    seen: list[Message] = []

    async def keep_receiving() -> None:
        while True:
            with suppress(Unavailable):  # a queue that is being deleted may be found once more
                batches = await member.receive(limit=10)
                seen.extend(in_order(batches))
                await member.acknowledge(batches)

    receiving = asyncio.create_task(keep_receiving())

    def delete(channel: Any) -> None:
        for partition in range(4):
            channel.queue_delete(f"{environment.prefix}{GROUP}.t.{partition}")

    await other.do(delete)

    message = a_message(topic="t")
    await confirmed_at_last(broker, message)
    await until(lambda: message in seen)
    receiving.cancel()
    await member.close()


# A server that does not answer


async def test_a_frozen_server_holds_up_no_call_and_all_goes_on_when_it_is_back(
    own_environment: Environment, own_server: RabbitMQ
) -> None:
    async with own_environment.started() as broker:
        await broker.declare(["t"], GROUP)
        identity = await broker.identity()
        await published(broker, a_message(topic="t"))
        member = broker.subscribe(["t"], GROUP)
        await received(member, 1)

        await asyncio.to_thread(own_server.freeze)

        async with asyncio.timeout(12):
            (outcome,) = await broker.publish([a_message(topic="t")])
        assert isinstance(outcome, Unavailable)
        async with asyncio.timeout(4):
            with pytest.raises(Unavailable):
                await broker.identity()
        async with asyncio.timeout(25):
            with pytest.raises(Unavailable):
                await broker.backlog(["t"], GROUP)
        await asyncio.to_thread(own_server.thaw)

        message = a_message(topic="t")
        await confirmed_at_last(broker, message)
        seen: list[Message] = []
        while message not in seen:
            try:
                seen += await received(member, 1)
            except Unavailable:
                await asyncio.sleep(0.05)
        assert await broker.identity() == identity
        await member.close()


async def test_leaving_and_stopping_do_not_wait_for_a_frozen_server(
    own_environment: Environment, own_server: RabbitMQ
) -> None:
    broker = own_environment.broker()
    await broker.start()
    await broker.declare(["t"], GROUP)
    await published(broker, a_message(topic="t"))
    member = broker.subscribe(["t"], GROUP)
    await received(member, 1)
    await asyncio.to_thread(own_server.freeze)

    async with asyncio.timeout(5):
        await member.close()
    async with asyncio.timeout(5):
        await broker.stop()


async def test_a_server_short_of_memory_takes_no_messages_says_so_and_gives_those_that_it_has(
    own_environment: Environment, own_server: RabbitMQ
) -> None:
    async with own_environment.started() as broker:
        await broker.declare(["t"], GROUP)
        before = await published(broker, a_message(topic="t"))
        await asyncio.to_thread(control, own_server, "set_vm_memory_high_watermark", "0.0000001")
        try:
            outcome = await refused(broker)
            assert "short of memory" in str(outcome)
            async with asyncio.timeout(2):
                (at_once,) = await broker.publish([a_message(topic="t")])
            assert isinstance(at_once, Unavailable)
            assert await broker.identity()
            member = broker.subscribe(["t"], GROUP)
            assert before[0] in await received(member, 1)
        finally:
            await asyncio.to_thread(control, own_server, "set_vm_memory_high_watermark", "absolute", "1GB")

        message = a_message(topic="t")
        await confirmed_at_last(broker, message)
        seen: list[Message] = []
        while message not in seen:
            seen += await received(member, 1)
        await member.close()


async def refused(broker: EventBroker) -> Unavailable:
    """Publish until the server, which takes what is on its way, refuses."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with asyncio.timeout(12):
                (outcome,) = await broker.publish([a_message(topic="t")])
            if isinstance(outcome, Unavailable):
                return outcome


# How it is reached


async def test_it_is_reached_with_tls(environment: Environment) -> None:
    async with environment.started(addresses.RABBITMQ_SECURE, ca_file=addresses.CA_FILE) as broker:
        await broker.declare(["t"], GROUP)
        messages = await published(broker, a_message(bytes(500_000), topic="t"))
        member = broker.subscribe(["t"], GROUP)
        assert await received(member, 1) == messages


async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(environment: Environment) -> None:
    async with environment.started(addresses.RABBITMQ_SECURE) as broker:
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await broker.identity()


async def test_a_certificate_that_cannot_be_read_is_told(environment: Environment, tmp_path: Path) -> None:
    async with environment.started(addresses.RABBITMQ_SECURE, ca_file=tmp_path / "none.pem") as broker:
        with pytest.raises(Unavailable, match="No such file"):
            await broker.identity()


async def test_the_password_is_nowhere_to_be_seen(environment: Environment, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    at = urlsplit(environment.url)
    wrong = f"amqp://guest:pass-w0rd@{at.hostname}:{at.port}/"
    broker = environment.broker(wrong)
    await broker.start()

    (outcome,) = await broker.publish([a_message(topic="t")])
    with pytest.raises(Unavailable) as told:
        await broker.identity()
    await broker.stop()

    seen = [repr(broker), str(vars(broker)), str(outcome), str(told.value), repr(told.value.__cause__), caplog.text]
    assert "ACCESS_REFUSED" in str(told.value)
    assert not [text for text in seen if "pass-w0rd" in text]


@pytest.mark.parametrize(
    "url", ["amqp://user:pass-w0rd@host:port/", "http://user:pass-w0rd@host?x=1", "amqp://[pass-w0rd"]
)
def test_a_url_that_cannot_be_read_is_not_shown(environment_less: Environment, url: str) -> None:
    with pytest.raises(ValueError, match="cannot be read") as told:
        environment_less.broker(url)

    assert told.value.__cause__ is None
    assert "pass-w0rd" not in str(told.value)


@pytest.fixture
def environment_less() -> Environment:
    return Environment("", "")


def test_it_works_on_uvloop(rabbitmq_url: str) -> None:
    async def journey() -> None:
        environment = Environment(rabbitmq_url, addresses.RABBITMQ_MANAGEMENT)
        await environment.start()
        try:
            async with environment.started() as broker:
                await broker.declare(["t"], GROUP)
                messages = [a_message(topic="t") for _ in range(200)]
                assert list(await broker.publish(messages)) == [None] * 200
                member = broker.subscribe(["t"], GROUP)
                assert by_id(await received(member, 200)) == by_id(messages)
                await member.close()
        finally:
            await asyncio.to_thread(environment.remove)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(journey())
