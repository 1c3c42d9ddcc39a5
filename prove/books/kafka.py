"""All that is on the topics of one environment, read from their beginnings by a consumer without a group."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from prove.books.published import Published

READ_SECONDS = 60.0
MARK = "ce_"


async def read(servers: str, prefix: str) -> list[Published]:
    """In the order of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    await consumer.start()
    try:
        async with asyncio.timeout(READ_SECONDS):
            partitions = await _partitions(servers, prefix)
            if not partitions:
                return []
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            found: list[Published] = []
            while [one for one in partitions if await consumer.position(one) < ends[one]]:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [_published(record, prefix) for record in records]
            return found
    finally:
        await consumer.stop()


async def send(servers: str, topic: str, attributes: dict[str, str], body: bytes) -> None:
    """As a foreign producer does."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        headers = [(MARK + name, value.encode()) for name, value in attributes.items()]
        await producer.send_and_wait(topic, body, key=attributes["subject"].encode(), headers=headers)
    finally:
        await producer.stop()


async def _partitions(servers: str, prefix: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        described = await admin.describe_topics(topics) if topics else []
    finally:
        await admin.close()
    return [TopicPartition(each["topic"], one["partition"]) for each in described for one in each["partitions"]]


def _published(record: object, prefix: str) -> Published:
    headers = {name.removeprefix(MARK): value.decode() for name, value in record.headers}  # type: ignore[attr-defined]
    return Published(record.topic.removeprefix(prefix), headers, record.value or b"")  # type: ignore[attr-defined]
