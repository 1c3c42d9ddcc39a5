"""Topics of Kafka and virtual hosts of RabbitMQ, which are gone afterwards."""

import asyncio
import json
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pika  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from bench.engines.recorded import PARTITIONS
from tools.services import addresses


@contextmanager
def made(servers: str, topic: str) -> Iterator[str]:
    """A topic that nobody else has."""
    asyncio.run(_administer(servers, lambda admin: admin.create_topics([NewTopic(topic, PARTITIONS, 1)])))
    try:
        yield topic
    finally:
        forget(servers, topic)


def forget(servers: str, start: str) -> None:
    """All topics whose names start like this."""

    async def delete(admin: Any) -> None:
        names = [name for name in await admin.list_topics() if name.startswith(start)]
        if names:
            await admin.delete_topics(names)

    asyncio.run(_administer(servers, delete))


async def _administer(servers: str, do: Any) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await do(admin)
    finally:
        await admin.close()


def ids_in(servers: str, topic: str) -> list[str]:
    """The event ids of all records, read from the beginning."""
    return asyncio.run(_ids_in(servers, topic))


async def _ids_in(servers: str, topic: str) -> list[str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, max_partition_fetch_bytes=8 << 20)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        left = sum(ends.values())
        ids: list[str] = []
        while left > 0:
            for records in (await consumer.getmany(timeout_ms=2000)).values():
                left -= len(records)
                ids += [dict(record.headers).get("ce_id", b"").decode() for record in records]
        return ids
    finally:
        await consumer.stop()


def publish_file(servers: str, topic: str, path: Path) -> None:
    """All messages of a file that `recorded.write_messages` wrote."""

    lines = path.read_text(encoding="utf-8").splitlines()

    async def publish() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5)
        await producer.start()
        try:
            sent = []
            for line in lines:
                subject, attributes, _, body = json.loads(line)
                headers = [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
                sent.append(await producer.send(topic, body.encode(), key=subject.encode(), headers=headers))
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    asyncio.run(publish())


@contextmanager
def virtual_host() -> Iterator[str]:
    """The URL of a virtual host that nobody else has."""
    name = f"bench-{uuid4().hex[:10]}"
    _manage("PUT", f"/api/vhosts/{name}")
    try:
        _manage("PUT", f"/api/permissions/{name}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
        yield addresses.RABBITMQ + name
    finally:
        _manage("DELETE", f"/api/vhosts/{name}")


def ids_in_queues(url: str) -> list[str]:
    """The event ids of all messages of a virtual host, taken out of its queues."""
    name = urlsplit(url).path.lstrip("/")
    queues = [each["name"] for each in _manage("GET", f"/api/queues/{name}")]
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    ids: list[str] = []
    for queue in queues:
        left = channel.queue_declare(queue, passive=True).method.message_count
        if left:
            for _, properties, _ in channel.consume(queue, auto_ack=True, inactivity_timeout=5):
                if properties is None:
                    break
                ids.append(properties.headers["ce-id"])
                left -= 1
                if not left:
                    break
            channel.cancel()
    connection.close()
    return ids


def _manage(method: str, path: str, value: Mapping[str, Any] | None = None) -> Any:
    url = urlsplit(addresses.RABBITMQ_MANAGEMENT)
    request = urllib.request.Request(
        f"http://{url.hostname}:{url.port}{path}",
        None if value is None else json.dumps(value).encode(),
        {
            "Authorization": "Basic " + b64encode(f"{url.username}:{url.password}".encode()).decode(),
            "Content-Type": "application/json",
        },
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def missing(recorded: Sequence[str], ids: Sequence[str]) -> list[str]:
    """What is wrong when these ids are where those that were recorded should be."""
    lost = set(recorded) - set(ids)
    strange = set(ids) - set(recorded)
    faults = []
    if lost:
        faults.append(f"{len(lost)} of {len(recorded)} recorded events are not in the broker")
    if strange:
        faults.append(f"{len(strange)} messages in the broker were never recorded")
    return faults
