"""What a member of a group gives out after the group has refused its acknowledgement."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import CommitFailedError  # type: ignore[import-untyped]

from adapters.event_broker.kafka.membership import HEARTBEAT_SECONDS, SESSION_SECONDS, Mark, Membership
from domain.delivery.stages import BEHIND_SECONDS
from ports.event_broker import Batch

ZERO, ONE = TopicPartition("orders", 0), TopicPartition("orders", 1)


@dataclass(frozen=True)
class Record:
    """As aiokafka has it."""

    topic: str
    partition: int
    offset: int
    value: bytes = b'{"id": "0199e2b8-0000-7000-8000-000000000001"}'
    headers: tuple[tuple[str, bytes], ...] = ()


class Client:
    """Of the consumer."""


class Consumer:
    """In the place of aiokafka's: gives what it was given, and refuses commits of partitions that it does not have."""

    def __init__(self) -> None:
        self._client = Client()
        self.fetched: asyncio.Queue[dict[TopicPartition, list[Record]]] = asyncio.Queue()
        self.gone: set[TopicPartition] = set()
        self.committed: dict[TopicPartition, int] = {}
        self.news = asyncio.Event()

    def subscribe(self, *_: object, **__: object) -> None: ...

    async def start(self) -> None: ...

    async def getmany(self, *, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        del timeout_ms
        return await self.fetched.get()

    async def commit(self, ends: dict[TopicPartition, int]) -> None:
        if self.gone & set(ends):
            raise CommitFailedError
        self.committed |= ends

    def assignment(self) -> set[TopicPartition]:
        return {ZERO, ONE}

    def paused(self) -> set[TopicPartition]:
        return set()


class Cluster:
    async def ends(self, topics: object) -> dict[TopicPartition, int]:
        del topics
        return {}


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
async def member(consumer: Consumer) -> AsyncIterator[Membership]:
    cluster: Any = Cluster()
    member = Membership(
        consumer, cluster, ["orders"], prefix="", seconds=5, news=consumer.news.set, tell=lambda _: None
    )
    living = asyncio.create_task(member.live())
    await member.on_partitions_assigned([ZERO, ONE])
    yield member
    living.cancel()
    with suppress(asyncio.CancelledError):
        await living


async def received(consumer: Consumer, number: int) -> None:
    """So many records of each of both partitions have come."""
    consumer.news.clear()
    consumer.fetched.put_nowait(
        {each: [Record("orders", each.partition, offset) for offset in range(number)] for each in (ZERO, ONE)}
    )
    async with asyncio.timeout(5):
        await consumer.news.wait()


def marks(batches: Iterable[Batch]) -> list[Mark]:
    return [batch.mark for batch in batches if isinstance(batch.mark, Mark)]


async def test_a_partition_whose_acknowledgement_was_refused_gives_out_nothing_more(
    member: Membership, consumer: Consumer
) -> None:
    """Another member has it, and gets the rest from there: given out here as well, it would be handled twice."""
    await received(consumer, 10)
    batches = member.take(2)
    consumer.gone = {ZERO}

    for batch in batches:
        await member.acknowledge(marks([batch]))

    assert [(batch.topic, batch.partition) for batch in member.take(2)] == [("orders", 1)]
    assert consumer.committed == {ONE: 2}


async def test_one_that_was_acknowledged_gives_out_the_rest(member: Membership, consumer: Consumer) -> None:
    await received(consumer, 3)
    first = member.take(2)

    await member.acknowledge(marks(first))

    assert sorted((batch.partition, len(batch.messages)) for batch in member.take(2)) == [(0, 1), (1, 1)]


def test_the_share_of_a_member_that_died_goes_to_another_before_that_is_an_alert() -> None:
    assert SESSION_SECONDS + HEARTBEAT_SECONDS < BEHIND_SECONDS
