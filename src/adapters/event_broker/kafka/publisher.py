"""Sends messages, each with its outcome.

What goes to one partition goes as one batch, the batches are pipelined, and the producer is idempotent: what aiokafka
repeats by itself is written once and in order. But it repeats without end, and a batch that failed leaves a gap in the
numbers of its partition, at which the broker refuses all that follows. So a producer lives until the first batch of its
that is not confirmed, and the next goes with another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Final

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import ProducerClosed  # type: ignore[import-untyped]

from adapters.event_broker.kafka.connection import Access, Kept, abort
from adapters.event_broker.kafka.connections import close_connections, note_connections
from adapters.event_broker.kafka.errors import ERRORS, kafka_errors, port_error
from adapters.event_broker.kafka.messages import Record, to_record
from ports.errors import Rejected, Unavailable
from ports.event_broker import Outcome
from ports.message import BODY_MOST, Message, partition_of

# Of one batch. Well below the 1 MB that a topic takes, since a batch is refused as a whole; one message may be larger.
BATCH_BYTES: Final = 256 * 1024
DOING: Final = "publishing"


@dataclass(slots=True)
class _Parcel:
    """Messages of one partition, by their numbers, that are sent as one."""

    topic: str
    partition: int
    batch: Any
    numbers: list[int]
    confirmed: "asyncio.Future[Any] | None" = None
    failed: Outcome = None

    @property
    def outcome(self) -> Outcome:
        if self.failed is not None:
            return self.failed
        if self.confirmed is None or not self.confirmed.done():
            return Unavailable(f"Kafka, {DOING}: not confirmed in time; does the topic have enough replicas in sync?")
        error = self.confirmed.exception()
        return None if error is None else _caused(error)


class KafkaPublisher:
    """Publishes batches, for many tasks at once.

    ``find`` says how many partitions topics have, and makes those that were declared and are gone.
    """

    def __init__(
        self,
        producers: Kept[AIOKafkaProducer],
        find: Callable[[Collection[str]], Awaitable[Mapping[str, int]]],
        *,
        prefix: str,
        seconds: float,
    ) -> None:
        self._producers = producers
        self._find = find
        self._prefix = prefix
        self._seconds = seconds
        self._partitions: dict[str, int] = {}  # of each topic, as it is
        self._turns = count()

    def open(self) -> None:
        self._producers.open()

    async def close(self) -> None:
        self._partitions.clear()
        await self._producers.close()

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """One outcome for each message, in their order."""
        until = asyncio.get_running_loop().time() + self._seconds
        outcomes: dict[int, Outcome] = {}
        records: dict[int, Record] = {}
        for number, message in enumerate(messages):
            try:
                records[number] = _checked(message)
            except Rejected as error:
                outcomes[number] = error
        outcomes |= await self._send(messages, records, until, alone=False)
        return [outcomes[number] for number in range(len(messages))]

    async def _send(
        self, messages: Sequence[Message], records: Mapping[int, Record], until: float, *, alone: bool
    ) -> dict[int, Outcome]:
        if not records:
            return {}
        topics = {messages[number].topic for number in records}
        try:
            async with kafka_errors(DOING, seconds=until - asyncio.get_running_loop().time()):
                if unknown := topics - self._partitions.keys():
                    self._partitions.update(await self._find(unknown))
                producer = await self._producers.get(seconds=self._seconds)
        except (Unavailable, Rejected) as error:
            return dict.fromkeys(records, error)
        outcomes: dict[int, Outcome] = {
            number: Unavailable(f"the topic {messages[number].topic!r} is not there: nobody has declared it")
            for number in records
            if messages[number].topic not in self._partitions
        }
        known = {number: record for number, record in records.items() if number not in outcomes}
        parcels = self._pack(producer, messages, known, alone=alone)
        await self._carry(producer, parcels, until)
        refused: dict[int, Record] = {}
        for parcel in parcels:
            outcome = parcel.outcome
            outcomes.update(dict.fromkeys(parcel.numbers, outcome))
            if isinstance(outcome, Rejected) and len(parcel.numbers) > 1:
                refused.update((number, records[number]) for number in parcel.numbers)
        # A refusal counts only for a message that was sent alone: in company it may be another's fault.
        return outcomes | await self._send(messages, refused, until, alone=True)

    def _pack(
        self, producer: AIOKafkaProducer, messages: Sequence[Message], records: Mapping[int, Record], *, alone: bool
    ) -> list[_Parcel]:
        parcels: list[_Parcel] = []
        open_: dict[tuple[str, int], _Parcel] = {}
        for number, record in records.items():
            place = self._place(messages[number])
            parcel = open_.get(place)
            if parcel is None or alone or not _put(parcel.batch, record):
                parcel = open_[place] = _Parcel(*place, producer.create_batch(), [])
                parcels.append(parcel)
                _put(parcel.batch, record)  # the first is taken, however large
            parcel.numbers.append(number)
        return parcels

    def _place(self, message: Message) -> tuple[str, int]:
        number, subject = self._partitions[message.topic], message.subject
        partition = next(self._turns) % number if subject is None else partition_of(subject, number)
        return self._prefix + message.topic, partition

    async def _carry(self, producer: AIOKafkaProducer, parcels: Sequence[_Parcel], until: float) -> None:
        """Send them and wait for what becomes of them, until the time is over."""
        try:
            async with asyncio.timeout_at(until):
                for parcel in parcels:
                    try:
                        parcel.confirmed = await producer.send_batch(
                            parcel.batch, parcel.topic, partition=parcel.partition
                        )
                        parcel.confirmed.add_done_callback(_look_at)
                    except tuple(ERRORS) as error:
                        parcel.failed = _caused(error)
                if waiting := [parcel.confirmed for parcel in parcels if parcel.confirmed is not None]:
                    await asyncio.wait(waiting)
        except TimeoutError:
            pass  # each parcel tells
        finally:
            # Also when cancelled: who does not learn what became of a message may send it again, and what aiokafka
            # goes on repeating would come after it.
            failed = [parcel for parcel in parcels if parcel.outcome is not None]
            if failed:
                self._producers.throw_away(producer)
            for parcel in failed:
                self._partitions.pop(parcel.topic.removeprefix(self._prefix), None)  # it may be gone


async def make_producer(access: Access, *, seconds: float) -> AIOKafkaProducer:
    """A producer that is connected and has its id; waits for that as long as it takes."""
    producer = AIOKafkaProducer(
        **access.options(request_seconds=seconds),
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        metadata_max_age_ms=60_000,
    )
    note_connections(producer.client)
    try:
        await access.reached(producer.client, producer.start())
    except BaseException:
        await end_producer(producer)
        raise
    return producer


async def end_producer(producer: AIOKafkaProducer) -> None:
    """Let go of a producer and of what it has not delivered.

    Its own `stop` would go on delivering first, without end while the broker is away, and aiokafka has no other way:
    so its sender is ended with what that has in flight, and who waits for a batch is told so.
    """
    sender, waiting = producer._sender, producer._message_accumulator  # noqa: SLF001
    tasks = {task for task in asyncio.all_tasks() if _is_of(task, sender)}
    for task in tasks:
        task.cancel()
    abort(producer.client)
    if tasks:
        await asyncio.wait(tasks)
    batches = {*waiting._pending_batches, *chain.from_iterable(waiting._batches.values())}  # noqa: SLF001
    waiting._pending_batches.update(batches)  # noqa: SLF001 - from where a batch that ends is taken away
    waiting.fail_all(ProducerClosed())
    for batch in batches:
        _look_at(batch._drain_waiter)  # noqa: SLF001
    await producer.stop()
    close_connections(producer.client)


def _is_of(task: "asyncio.Task[Any]", sender: Any) -> bool:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame is not None and frame.f_locals.get("self") is sender


def _checked(message: Message) -> Record:
    if len(message.body) > BODY_MOST:
        raise Rejected(f"the body has {len(message.body):,} bytes, more than {BODY_MOST:,}")
    try:
        return to_record(message)
    except UnicodeEncodeError as error:
        raise Rejected(f"an attribute has no UTF-8: {error.reason}") from error


def _put(batch: Any, record: Record) -> bool:
    """Whether there was room."""
    return batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers) is not None


def _caused(error: BaseException) -> Unavailable | Rejected:
    outcome = port_error(error, DOING)
    outcome.__cause__ = error
    return outcome


def _look_at(future: "asyncio.Future[Any]") -> None:
    """Its error is no one's once nobody waits for it."""
    if not future.cancelled():
        future.exception()
