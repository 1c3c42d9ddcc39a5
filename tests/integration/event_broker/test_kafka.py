"""Kafka on the standing server, where each test has topics and groups of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar

import pytest

from adapters.event_broker.kafka import membership
from adapters.event_broker.kafka.broker import KafkaEventBroker
from adapters.event_broker.kafka.membership import SESSION_SECONDS
from adapters.event_broker.kafka.subscription import KafkaSubscription
from ports.errors import Rejected, Unavailable
from ports.event_broker import Batch, EventBroker, Subscription
from ports.message import Message
from tests.builders import a_message
from tests.contracts.event_broker import EventBrokerContract, by_id, in_order
from tests.integration.event_broker.kafka import (
    a_broker,
    a_prefix,
    a_producer,
    a_reader,
    an_admin,
    as_message,
    become,
    become_caught_up,
    configure,
    confirmed,
    delete_topics,
    forget,
    partitions,
    receive,
    receive_until,
    send_with_header_name,
    vanish,
)
from tools.services import addresses


@pytest.fixture
async def prefix(kafka_servers: str) -> AsyncIterator[str]:
    prefix = a_prefix()
    yield prefix
    await delete_topics(kafka_servers, prefix)


@pytest.fixture
async def broker(kafka_servers: str, prefix: str) -> AsyncIterator[KafkaEventBroker]:
    broker = a_broker(kafka_servers, topic_prefix=prefix)
    await broker.start()
    yield broker
    await broker.stop()


class TestKafka(EventBrokerContract):
    patience: ClassVar[float] = 60  # longer than it takes to notice that a member has gone

    @pytest.fixture(autouse=True)
    def _where(self, kafka_servers: str, prefix: str) -> None:
        self._servers, self._prefix = kafka_servers, prefix

    @pytest.fixture
    async def broker(self, kafka_servers: str, prefix: str) -> AsyncIterator[EventBroker]:
        broker = a_broker(kafka_servers, topic_prefix=prefix, partitions=self.partitions)
        await broker.start()
        yield broker
        await broker.stop()

    async def a_moment(self) -> None:
        await asyncio.sleep(0.01)

    async def abandon(self, broker: EventBroker, member: Subscription) -> None:  # noqa: ARG002 - the hook's
        assert isinstance(member, KafkaSubscription)
        await vanish(member)

    @asynccontextmanager
    async def audit(self, broker: EventBroker, topic: str) -> AsyncIterator[Callable[[], Awaitable[list[Message]]]]:  # noqa: ARG002 - the hook's
        async with a_reader(self._servers, self._prefix + topic) as records:

            async def look() -> list[Message]:
                return [as_message(topic, record) for record in await records()]

            yield look


# Topics


async def test_a_topic_is_made_with_the_partitions_that_were_asked_for(kafka_servers: str, prefix: str) -> None:
    async with running(kafka_servers, prefix, partitions=7) as broker:
        await broker.declare(["order_events", "user_events"], "crossdock")

    assert await partitions(kafka_servers, prefix + "order_events") == 7
    assert await partitions(kafka_servers, prefix + "user_events") == 7


async def test_a_topic_with_another_number_of_partitions_is_refused_with_what_to_do(
    kafka_servers: str, prefix: str
) -> None:
    async with running(kafka_servers, prefix, partitions=2) as former:
        await former.declare(["order_events"], "crossdock")
        await former.publish([a_message(topic="order_events")])
    for number in (1, 3):
        async with running(kafka_servers, prefix, partitions=number) as broker:
            with pytest.raises(Rejected, match=f"has 2 partitions and CROSSDOCK_PARTITIONS says {number}"):
                await broker.declare(["order_events"], "crossdock")


async def test_an_empty_topic_that_somebody_made_too_small_gets_its_partitions(kafka_servers: str, prefix: str) -> None:
    """A broker that makes topics by itself gives them a number of its own, before anything is in them."""
    async with running(kafka_servers, prefix, partitions=1) as former:
        await former.declare(["order_events"], "crossdock")

    async with running(kafka_servers, prefix, partitions=4) as broker:
        await broker.declare(["order_events"], "crossdock")

    assert await partitions(kafka_servers, prefix + "order_events") == 4


async def test_a_topic_that_nobody_declared_takes_nothing_and_is_not_made(
    broker: KafkaEventBroker, kafka_servers: str, prefix: str
) -> None:
    (outcome,) = await broker.publish([a_message(topic="order_events")])

    assert isinstance(outcome, Unavailable)
    assert "declared" in str(outcome)
    async with an_admin(kafka_servers) as admin:
        assert prefix + "order_events" not in await admin.list_topics()


async def test_processes_may_declare_at_once_and_no_message_is_passed_over(kafka_servers: str, prefix: str) -> None:
    """Each finds a new group and gives it its place; a message of the first is after the place of the last."""
    brokers = [a_broker(kafka_servers, topic_prefix=prefix) for _ in range(4)]
    for broker in brokers:
        await broker.start()
    subjects = [f"subject-{number}" for number in range(20)]

    async def declare_and_publish(broker: KafkaEventBroker) -> Sequence[Message]:
        await broker.declare(["order_events"], "crossdock")
        messages = [a_message(topic="order_events", subject=subject) for subject in subjects]
        assert list(await broker.publish(messages)) == [None] * 20
        return messages

    published = await asyncio.gather(*map(declare_and_publish, brokers))

    member = brokers[0].subscribe(["order_events"], "crossdock")
    assert by_id(await receive(member, 80)) == by_id(message for messages in published for message in messages)
    await asyncio.gather(*(broker.stop() for broker in brokers))


async def test_a_topic_that_is_deleted_while_in_use_is_made_again(kafka_servers: str, prefix: str) -> None:
    async with running(kafka_servers, prefix, seconds=3) as broker:
        await broker.declare(["order_events"], "crossdock")
        member = broker.subscribe(["order_events"], "crossdock")
        await broker.publish([a_message(topic="order_events")])
        await receive(member, 1)

        await delete_topics(kafka_servers, prefix)

        message = a_message(topic="order_events")
        await confirmed(broker, message)
        assert await partitions(kafka_servers, prefix + "order_events") == 4
        assert message in await receive_until(member, message)


# What is published


async def test_a_message_that_the_topic_does_not_take_is_rejected_and_its_neighbours_go(
    broker: KafkaEventBroker, kafka_servers: str, prefix: str
) -> None:
    """They may be in one batch, which the broker refuses as a whole."""
    await broker.declare(["order_events"], "crossdock")
    await configure(kafka_servers, prefix + "order_events", {"max.message.bytes": "20000"})
    small, large, other = (a_message(b"x" * size, topic="order_events", subject="s") for size in (10, 30_000, 10))

    first, second, third = await broker.publish([small, large, other])

    assert isinstance(second, Rejected)
    # In the same partition, what comes behind the one that was refused may have to be sent again.
    assert first is None
    assert third is None or isinstance(third, Unavailable)
    assert list(await broker.publish([other])) == [None]


async def test_small_messages_go_where_their_batch_is_too_large(
    broker: KafkaEventBroker, kafka_servers: str, prefix: str
) -> None:
    await broker.declare(["order_events"], "crossdock")
    await configure(kafka_servers, prefix + "order_events", {"max.message.bytes": "20000"})

    outcomes = await broker.publish([a_message(b"x" * 9_000, topic="order_events", subject="s") for _ in range(10)])

    assert list(outcomes) == [None] * 10


async def test_a_subject_has_the_partition_that_kafkas_own_clients_give_it(
    broker: KafkaEventBroker, kafka_servers: str, prefix: str
) -> None:
    await broker.declare(["order_events"], "crossdock")
    subjects = ["a", "Zoë 🎉", *(f"subject-{number}" for number in range(50))]
    async with (
        a_reader(kafka_servers, prefix + "order_events") as look,
        a_producer(kafka_servers) as foreign,
    ):
        for subject in subjects:
            await foreign.send_and_wait(prefix + "order_events", b"{}", key=subject.encode())
        await broker.publish([a_message(topic="order_events", subject=subject) for subject in subjects])

        records = await become(look, 2 * len(subjects))

    assert len({(record.key, record.partition) for record in records}) == len(subjects)


# What others send


async def test_what_others_send_comes_whatever_it_is(broker: KafkaEventBroker, kafka_servers: str, prefix: str) -> None:
    await broker.declare(["order_events"], "crossdock")
    member = broker.subscribe(["order_events"], "crossdock")
    async with a_producer(kafka_servers) as foreign:
        topic = prefix + "order_events"
        await foreign.send_and_wait(topic, b"not json", partition=2)
        await foreign.send_and_wait(topic, None, key=b"tombstone", partition=2)
        await foreign.send_and_wait(
            topic, b"{}", partition=2, headers=[("CE_ID", b"1"), ("ce_subject", b"\xff"), ("other", b"x")]
        )

    messages = await receive(member, 3)

    assert [(message.body, dict(message.attributes)) for message in messages] == [
        (b"not json", {}),
        (b"", {}),
        (b"{}", {"id": "1", "subject": "\ufffd"}),
    ]


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        (b"ce_\xff\xfe", {"id": "1", "source": "elsewhere", r"\xff\xfe": "x"}),
        (b"\xed\xa0\x80", {"id": "1", "source": "elsewhere"}),
    ],
    ids=["an-attribute", "something-else"],
)
async def test_a_header_whose_name_is_no_utf_8_stops_nothing(
    broker: KafkaEventBroker, kafka_servers: str, prefix: str, name: bytes, attributes: dict[str, str]
) -> None:
    """It comes in its place, with what can be read of it, and nobody joins again because of it."""
    await broker.declare(["order_events"], "crossdock")
    topic = prefix + "order_events"
    member = broker.subscribe(["order_events"], "crossdock")
    async with a_producer(kafka_servers) as foreign:
        await foreign.send_and_wait(topic, b"before", partition=2)
        messages = await receive(member, 1)
        membership = member._membership

        await send_with_header_name(kafka_servers, topic, b"it", name, partition=2)
        await foreign.send_and_wait(topic, b"after", partition=2)
        messages += await receive(member, 2)

    assert [message.body for message in messages] == [b"before", b"it", b"after"]
    assert messages[1].attributes == attributes
    assert member._membership is membership
    await become_caught_up(broker)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_is_compressed_comes(broker: KafkaEventBroker, kafka_servers: str, prefix: str, codec: str) -> None:
    """By who sends it, and by a topic that is set to, so that what we send ourselves is."""
    await broker.declare(["order_events"], "crossdock")
    topic = prefix + "order_events"
    member = broker.subscribe(["order_events"], "crossdock")
    async with a_producer(kafka_servers, compression_type=codec) as foreign:
        await foreign.send_and_wait(topic, b"x" * 10_000, partition=2)
    await configure(kafka_servers, topic, {"compression.type": codec})
    message = a_message(topic="order_events")

    assert list(await broker.publish([message])) == [None]

    received = await receive(member, 2)
    assert message in received
    assert b"x" * 10_000 in [each.body for each in received]


async def test_a_record_larger_than_what_is_fetched_at_once_comes_all_the_same(
    broker: KafkaEventBroker, kafka_servers: str, prefix: str
) -> None:
    await broker.declare(["order_events"], "crossdock")
    await configure(kafka_servers, prefix + "order_events", {"max.message.bytes": str(8 * 1024 * 1024)})
    member = broker.subscribe(["order_events"], "crossdock")
    large = b"x" * (5 * 1024 * 1024)
    async with a_producer(kafka_servers, max_request_size=8 * 1024 * 1024) as foreign:
        for body in (b"before", large, b"after"):
            await foreign.send_and_wait(prefix + "order_events", body, partition=1)

    assert [message.body for message in await receive(member, 3)] == [b"before", large, b"after"]


async def test_what_a_transaction_takes_back_does_not_come_and_leaves_no_backlog(
    broker: KafkaEventBroker, kafka_servers: str, prefix: str
) -> None:
    """The end of a transaction is a record that no reader is given; who is caught up is past it."""
    await broker.declare(["order_events"], "crossdock")
    member = broker.subscribe(["order_events"], "crossdock")
    topic = prefix + "order_events"
    async with a_producer(kafka_servers, transactional_id=prefix) as foreign:
        await foreign.begin_transaction()
        await foreign.send_and_wait(topic, b"taken back", partition=0)
        await foreign.abort_transaction()
        async with foreign.transaction():
            await foreign.send_and_wait(topic, b"kept", partition=0)

    assert [message.body for message in await receive(member, 1)] == [b"kept"]
    await become_caught_up(broker)


async def test_a_backlog_is_caught_up_with_when_what_was_in_it_has_expired(
    broker: KafkaEventBroker, kafka_servers: str, prefix: str
) -> None:
    await broker.declare(["order_events"], "crossdock")
    await broker.publish([a_message(topic="order_events", subject="s") for _ in range(5)])
    assert await broker.backlog(["order_events"], "crossdock") == 5

    await forget(kafka_servers, prefix + "order_events", before=5)

    assert await broker.backlog(["order_events"], "crossdock") == 0
    member = broker.subscribe(["order_events"], "crossdock")
    message = a_message(topic="order_events", subject="s")
    await broker.publish([message])
    assert await receive(member, 1) == [message]


# Members


async def test_members_that_come_and_go_while_they_work_lose_nothing_and_keep_the_order(
    broker: KafkaEventBroker,
) -> None:
    """Whoever has them, the messages of a subject come first in their order; some come twice."""
    await broker.declare(["order_events"], "crossdock")
    subjects = [f"subject-{number}" for number in range(12)]
    handled: list[Message] = []

    async def work(member: Subscription) -> None:
        while batches := await member.receive(limit=5):
            for batch in batches:
                await asyncio.sleep(0.01)
                handled.extend(batch.messages)  # before: who is cancelled does not learn what became of it
                await member.acknowledge([batch])

    async def come_and_go(stays: float) -> None:
        while True:
            member = broker.subscribe(["order_events"], "crossdock")
            working = asyncio.create_task(work(member))
            await asyncio.wait({working}, timeout=stays)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await member.close()

    members = [asyncio.create_task(come_and_go(stays)) for stays in (1.5, 2.5, 60)]
    published: list[Message] = []
    for number in range(1, 41):
        batch = [a_message(topic="order_events", subject=subject, sequence=str(number)) for subject in subjects]
        assert list(await broker.publish(batch)) == [None] * len(subjects)
        published += batch
        await asyncio.sleep(0.1)  # the time that members need to come and go
    await become_caught_up(broker)
    for task in members:
        task.cancel()
    await asyncio.gather(*members, return_exceptions=True)

    assert by_id(handled).keys() == by_id(published).keys()
    for subject in subjects:
        first_seen = dict.fromkeys(
            int(message.attributes["sequence"]) for message in handled if message.subject == subject
        )
        assert list(first_seen) == sorted(first_seen)


async def test_a_batch_in_hand_is_finished_before_its_partition_goes_to_another(broker: KafkaEventBroker) -> None:
    await broker.declare(["order_events"], "crossdock")
    first = broker.subscribe(["order_events"], "crossdock")
    messages = [a_message(topic="order_events") for _ in range(40)]
    await broker.publish(messages)
    batches = list(await first.receive(limit=100))
    in_hand = by_id(in_order(batches)).keys()

    second = broker.subscribe(["order_events"], "crossdock")
    await asyncio.sleep(2)  # until the first has heard that another has come
    await first.acknowledge(batches)

    later = [a_message(topic="order_events") for _ in range(40)]
    await broker.publish(later)
    wanted = by_id(messages + later).keys() - in_hand
    seen: list[Message] = []
    async with asyncio.timeout(60):
        while not wanted <= by_id(seen).keys():
            for member in (first, second):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        batches = list(await member.receive(limit=100))
                        await member.acknowledge(batches)
                        seen += in_order(batches)
    assert by_id(seen).keys() == wanted


async def test_a_slow_handler_keeps_its_partition(broker: KafkaEventBroker) -> None:
    """Longer than a session lasts without a heartbeat: it is polled and heard of all the while."""
    await broker.declare(["order_events"], "crossdock")
    member = broker.subscribe(["order_events"], "crossdock")
    first, second = (a_message(topic="order_events", subject="s") for _ in range(2))
    await broker.publish([first])
    batches = await member.receive(limit=1)

    await asyncio.sleep(SESSION_SECONDS + 2)

    await member.acknowledge(batches)
    await broker.publish([second])
    assert await receive(member, 1) == [second]


async def test_a_consumer_that_does_nothing_though_there_is_something_is_replaced(
    broker: KafkaEventBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "STUCK_SECONDS", 1.0)
    monkeypatch.setattr(membership, "WATCH_SECONDS", 0.2)
    await broker.declare(["order_events"], "crossdock")
    member = broker.subscribe(["order_events"], "crossdock")
    await broker.publish([a_message(topic="order_events", subject="s")])
    await receive(member, 1)
    assert member._membership is not None
    member._membership._consumer._fetcher._fetch_task.cancel()
    message = a_message(topic="order_events", subject="s")
    await broker.publish([message])

    assert await receive_until(member, message) == [message]


async def test_what_is_acknowledged_at_one_moment_is_committed_together(broker: KafkaEventBroker) -> None:
    await broker.declare(["order_events"], "crossdock")
    member = broker.subscribe(["order_events"], "crossdock")
    await broker.publish([a_message(topic="order_events") for _ in range(100)])
    batches: list[Batch] = []
    while len(batches) < 4:  # one of each partition, of as much as has come by then
        batches += await member.receive(limit=100)
    consumer = member._membership and member._membership._consumer
    assert consumer is not None
    commits: list[object] = []
    commit = consumer.commit

    async def counted(offsets: object) -> None:
        commits.append(offsets)
        await commit(offsets)

    consumer.commit = counted

    await asyncio.gather(*(member.acknowledge([batch]) for batch in batches))

    assert len(commits) == 1
    assert await broker.backlog(["order_events"], "crossdock") == 100 - len(in_order(batches))


async def test_the_next_batch_does_not_wait_for_the_commit_of_the_one_before(broker: KafkaEventBroker) -> None:
    """Committing takes longer than handling; and what is acknowledged last is where the group stands at last."""
    await broker.declare(["order_events"], "crossdock")
    member = broker.subscribe(["order_events"], "crossdock")
    first, second = (a_message(topic="order_events", subject="s") for _ in range(2))
    for message in (first, second):
        await broker.publish([message])
    batches = await member.receive(limit=1)
    consumer = member._membership and member._membership._consumer
    assert consumer is not None
    commit, may_commit = consumer.commit, asyncio.Event()

    async def held(offsets: object) -> None:
        await may_commit.wait()
        await commit(offsets)

    consumer.commit = held
    acknowledging = [asyncio.create_task(member.acknowledge(batches))]

    async with asyncio.timeout(20):
        later = await member.receive(limit=100)
    acknowledging.append(asyncio.create_task(member.acknowledge(later)))
    may_commit.set()
    await asyncio.gather(*acknowledging)

    assert [*in_order(batches), *in_order(later)] == [first, second]
    assert await broker.backlog(["order_events"], "crossdock") == 0


# Security


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_messages_go_by_tls_and_sasl(kafka_servers: str, prefix: str, mechanism: str) -> None:  # noqa: ARG001 - it is there
    async with running(addresses.KAFKA_SECURE, prefix, **secure(sasl_mechanism=mechanism)) as broker:
        await broker.declare(["order_events"], "crossdock")
        member = broker.subscribe(["order_events"], "crossdock")
        message = a_message(topic="order_events")

        assert list(await broker.publish([message])) == [None]

        assert await receive(member, 1) == [message]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"password": "hunter2-wrong"}, "user or password are refused"),
        ({"password": "hunter2-wrong", "sasl_mechanism": "SCRAM-SHA-512"}, "user or password are refused"),
        ({"sasl_mechanism": "SCRAM-SHA-256"}, "SASL mechanism"),
        ({"ca_file": None}, "certificate of the broker is not trusted"),
    ],
    ids=["password", "scram-password", "mechanism", "authority"],
)
async def test_who_is_not_let_in_is_told_why_and_no_secret_is(
    kafka_servers: str,  # noqa: ARG001 - it is there
    prefix: str,
    wrong: dict[str, str],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(addresses.KAFKA_SECURE, prefix, **secure(**wrong)) as broker:
        with pytest.raises(Unavailable, match=told) as caught:
            await broker.identity()

        (outcome,) = await broker.publish([a_message(topic="order_events")])

    assert told in str(outcome)
    for secret in (addresses.SECRET, "hunter2-wrong"):
        assert secret not in str(caught.value) + repr(caught.value) + caplog.text + repr(vars(broker))


@pytest.mark.parametrize(
    "wrong",
    [
        {"security_protocol": "TLS"},
        {"security_protocol": "SASL_SSL", "username": "", "password": "x"},
        {"security_protocol": "SASL_SSL", "username": "x", "password": "x", "sasl_mechanism": "GSSAPI"},
        {"security_protocol": "SSL", "ca_file": "/nowhere/ca.pem"},
        {"security_protocol": "SSL", "certificate_file": "/nowhere/client.pem"},
    ],
    ids=["protocol", "no-user", "mechanism", "ca-file", "certificate"],
)
def test_security_that_cannot_work_is_refused_at_once(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"security_protocol|SASL|nowhere"):
        a_broker("127.0.0.1:1", **wrong)


# What the cases are written with


def secure(**changes: object) -> dict[str, object]:
    return {
        "security_protocol": "SASL_SSL",
        "username": addresses.USER,
        "password": addresses.SECRET,
        "ca_file": addresses.CA_FILE,
        **changes,
    }


@asynccontextmanager
async def running(servers: str, prefix: str, **changes: object) -> AsyncIterator[KafkaEventBroker]:
    broker = a_broker(servers, topic_prefix=prefix, **changes)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
