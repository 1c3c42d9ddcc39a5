"""Kafka beside the adapter: what tests look at it with, and do to it, that share none of the adapter's code."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError, OffsetOutOfRangeError  # type: ignore[import-untyped]
from aiokafka.record.util import calc_crc32c  # type: ignore[import-untyped]

from adapters.event_broker.kafka.broker import KafkaEventBroker
from adapters.event_broker.kafka.subscription import KafkaSubscription
from ports.errors import Unavailable
from ports.event_broker import EventBroker, Subscription
from ports.message import Message
from tests.builders import an_id
from tests.contracts.event_broker import in_order
from tools.services.jars import LEAN, jars
from tools.services.kafka import CLUSTER, Kafka
from tools.services.ports import HOST, free_ports
from tools.services.programs import java

PATIENCE: Final = 60  # seconds


def a_prefix() -> str:
    """Of the topics and groups of one test."""
    return f"test-{an_id().hex}-"


def a_broker(servers: str, **changes: Any) -> KafkaEventBroker:
    return KafkaEventBroker([servers], **{"partitions": 4, "topic_prefix": a_prefix(), **changes})


@asynccontextmanager
async def an_admin(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def delete_topics(servers: str, prefix: str) -> None:
    async with an_admin(servers) as admin:
        if topics := [topic for topic in await admin.list_topics() if topic.startswith(prefix)]:
            await admin.delete_topics(topics)
            # The controller answers; the broker goes on taking records until it has heard of it.
            async with asyncio.timeout(PATIENCE):
                while any(row["partitions"] for row in await admin.describe_topics(topics)):  # noqa: ASYNC110 it is another process
                    await asyncio.sleep(0.01)


@asynccontextmanager
async def a_producer(servers: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """Somebody else's, who chooses partitions as they like."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send_with_header_name(servers: str, topic: str, body: bytes, name: bytes, *, partition: int) -> None:
    """As libraries do for which a name is bytes: with aiokafka it has to be put in afterwards."""
    stand_in = "n" * len(name)
    headers = [("ce_id", b"1"), (stand_in, b"x"), ("ce_source", b"elsewhere")]
    async with a_producer(servers) as producer:
        batch = producer.create_batch()
        batch.append(key=b"s", value=body, timestamp=None, headers=headers)
        batch.close()
        batch._buffer = with_checksum(bytes(batch._build()).replace(stand_in.encode(), name))
        await (await producer.send_batch(batch, topic, partition=partition))


def with_checksum(batch: bytes) -> bytes:
    """A batch that was changed, as if it had been made so."""
    checksum: int = calc_crc32c(batch[21:])
    return batch[:17] + checksum.to_bytes(4, "big") + batch[21:]


@asynccontextmanager
async def a_reader(servers: str, topic: str) -> AsyncIterator[Callable[[], Awaitable[list[Any]]]]:
    """All records of a topic from now on."""
    records: list[Any] = []
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, max_partition_fetch_bytes=4 * 1024 * 1024)
    await consumer.start()
    try:
        await consumer.seek_to_end()
        for partition in consumer.assignment():
            await consumer.position(partition)

        async def look() -> list[Any]:
            for fetched in (await consumer.getmany(timeout_ms=50)).values():
                records.extend(fetched)
            return list(records)

        yield look
    finally:
        await consumer.stop()


def as_message(topic: str, record: Any) -> Message:
    """By the letter of CloudEvents' Kafka protocol binding, for what we publish."""
    names = {"content-type": "datacontenttype"}
    attributes = {names.get(name, name.removeprefix("ce_")): value.decode() for name, value in record.headers}
    return Message(topic=topic, attributes=attributes, body=record.value)


async def vanish(member: KafkaSubscription) -> None:
    """Break its connections, and keep it from making others."""
    assert member._membership is not None
    client = member._membership._consumer._client

    async def nowhere(*_: object, **__: object) -> None:
        return None

    client._get_conn = nowhere
    for connection in list(client._conns.values()):
        connection._writer.transport.abort()
    await member.close()


# What the cases are written with


async def partitions(servers: str, topic: str) -> int:
    async with an_admin(servers) as admin:
        (row,) = await admin.describe_topics([topic])
    return len(row["partitions"])


async def configure(servers: str, topic: str, settings: Mapping[str, str]) -> None:
    async with an_admin(servers) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(settings))])


async def forget(servers: str, topic: str, *, before: int) -> None:
    """Delete the records of every partition up to an offset, or to its end."""
    async with an_admin(servers) as admin:
        number = await partitions(servers, topic)
        for partition in range(number):
            with suppress(OffsetOutOfRangeError):  # it has less
                await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before)})


async def receive(member: Subscription, number: int) -> list[Message]:
    """Receive and acknowledge until so many have come."""
    messages: list[Message] = []
    async with asyncio.timeout(PATIENCE):
        while len(messages) < number:
            batches = await member.receive(limit=100)
            await member.acknowledge(batches)
            messages += in_order(batches)
    return messages


async def receive_until(member: Subscription, last: Message) -> list[Message]:
    """The same, over outages, until this one has come."""
    messages: list[Message] = []
    async with asyncio.timeout(PATIENCE):
        while last not in messages:
            with suppress(Unavailable):
                batches = await member.receive(limit=100)
                messages += in_order(batches)
                await member.acknowledge(batches)
    return messages


async def confirmed(broker: EventBroker, message: Message) -> None:
    """Publish it again and again, until it is confirmed."""
    async with asyncio.timeout(PATIENCE):
        while list(await broker.publish([message])) != [None]:  # noqa: ASYNC110 it is another process
            await asyncio.sleep(0.05)


async def become_caught_up(broker: EventBroker) -> None:
    async with asyncio.timeout(PATIENCE):
        while await broker.backlog(["order_events"], "crossdock"):  # noqa: ASYNC110 it is another process
            await asyncio.sleep(0.05)


async def become(look: Callable[[], Awaitable[list[Any]]], number: int) -> list[Any]:
    """What is there, once there is so much."""
    async with asyncio.timeout(PATIENCE):
        while len(found := await look()) < number:
            pass
    return found


@contextmanager
def second_node(first: Kafka, folder: Path) -> Iterator[None]:
    """Another broker of the cluster of a private server, which ends, killed, with the context."""
    (port,) = free_ports(1)
    folder.mkdir()
    properties = folder / "server.properties"
    properties.write_text(
        "\n".join(
            [
                "process.roles=broker",
                "node.id=2",
                "controller.listener.names=CONTROLLER",
                f"controller.quorum.voters=1@{HOST}:{first.ports['controller']}",
                "inter.broker.listener.name=PLAIN",
                "listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT",
                f"listeners=PLAIN://{HOST}:{port}",
                f"log.dirs={folder / 'data'}",
            ]
        )
    )
    run = [str(java()), *LEAN, "-Xmx256m", "-cp", f"{jars('kafka')}/*"]
    with (folder / "log").open("wb") as log:
        subprocess.run(
            [*run, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", properties],
            check=True,
            timeout=60,
            stdout=log,
            stderr=log,
        )
        node = subprocess.Popen([*run, "kafka.Kafka", properties], stdout=log, stderr=log)
        try:
            yield
        finally:
            node.kill()
            node.wait()


async def replicas(servers: str, topic: str) -> set[int]:
    """How many replicas of its partitions are in sync; none when it cannot be told now."""
    try:
        async with an_admin(servers) as admin:
            (row,) = await admin.describe_topics([topic])
    except KafkaError:
        return set()
    return {len(partition["isr"]) for partition in row["partitions"]}


async def nodes(servers: str) -> int:
    """How many brokers the cluster has; none when it cannot be told now."""
    try:
        async with an_admin(servers) as admin:
            return len((await admin.describe_cluster())["brokers"])
    except KafkaError:
        return 0
