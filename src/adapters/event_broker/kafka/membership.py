"""One consumer of aiokafka, from joining its group until it leaves or fails.

Records go from it into a place for each partition and are given out from there, one batch at a time; its own prefetched
records are always taken at once, since what waits in it holds up every other partition of the same node. It is polled
without rest, so a handler may take as long as it likes without losing its membership. What is paused is only what has
gathered enough.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError  # type: ignore[import-untyped]

from adapters.event_broker.kafka.cluster import KafkaCluster
from adapters.event_broker.kafka.connection import Access, abort
from adapters.event_broker.kafka.connections import close_connections, note_connections
from adapters.event_broker.kafka.errors import kafka_errors
from adapters.event_broker.kafka.messages import to_message, to_notice
from adapters.event_broker.kafka.records import Damaged
from ports.errors import PortError, Unavailable
from ports.event_broker import Batch
from ports.message import Message

log = logging.getLogger("crossdock.event_broker")

SESSION_SECONDS: Final = 6.0  # without a heartbeat; then others get the share. The least that brokers take unasked
HEARTBEAT_SECONDS: Final = 1.0  # how soon a member learns that others come or go
REBALANCE_SECONDS: Final = 15.0  # how long members wait for each other
HANDS_SECONDS: Final = 3.0  # to finish and acknowledge what is in hand before the share is given up
LEAVE_SECONDS: Final = 4.0  # to say so to the group, and to close
JOIN_SECONDS: Final = 40.0  # to get a share; a consumer that takes longer is stuck
WATCH_SECONDS: Final = 2.0
STUCK_SECONDS: Final = 20.0  # without a step, though there is something to receive
POLL_SECONDS: Final = 1.0
POSITION_SECONDS: Final = 0.1
UNSETTLED_MOST: Final = 4  # batches of one partition that are acknowledged while the group does not know it yet

GATHERED_MOST: Final = 500  # records of one partition, and
GATHERED_BYTES: Final = 1024 * 1024  # their size, at which no more are fetched
FETCH_BYTES: Final = 1024 * 1024  # of one partition at once; a larger record comes alone
FETCH_ALL_BYTES: Final = 16 * 1024 * 1024


def make_consumer(access: Access, group: str) -> AIOKafkaConsumer:
    """A consumer that is not connected yet."""
    return AIOKafkaConsumer(
        # Who joins is answered when all others have joined as well.
        **access.options(request_seconds=REBALANCE_SECONDS + 5),
        group_id=group,
        enable_auto_commit=False,
        # Only where there is no place, or it is out of range since the topic was made anew: nothing is passed over.
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=int(SESSION_SECONDS * 1000),
        heartbeat_interval_ms=int(HEARTBEAT_SECONDS * 1000),
        rebalance_timeout_ms=int(REBALANCE_SECONDS * 1000),
        metadata_max_age_ms=10_000,  # a topic that was made anew is noticed
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=FETCH_ALL_BYTES,
    )


async def end_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and close, whatever state it is in."""
    client = consumer._client  # noqa: SLF001 - to hurry it, and since `stop` may end before it has closed this
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=LEAVE_SECONDS)
    abort(client)  # what it still waits for fails now
    await asyncio.wait({stopping}, timeout=LEAVE_SECONDS)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await client.close()
    close_connections(client)


@dataclass(slots=True, eq=False)
class _Place:
    """A partition that is ours, until the next change of shares."""

    partition: TopicPartition
    records: deque[Any] = field(default_factory=deque)
    bytes: int = 0
    in_hand: "Mark | None" = None
    unsettled: int = 0  # batches that are acknowledged and on their way to the group's place
    is_lost: bool = False  # another has it, or soon will: what is in hand cannot be acknowledged
    committed: int | None = None  # as far as we know

    @property
    def is_idle(self) -> bool:
        return self.in_hand is None and not self.records

    @property
    def is_owed(self) -> bool:
        """Whether the group does not yet have its place behind what we were given."""
        return not self.is_lost and (self.in_hand is not None or self.unsettled > 0)

    @property
    def is_full(self) -> bool:
        return len(self.records) >= GATHERED_MOST or self.bytes >= GATHERED_BYTES

    def add(self, records: Sequence[Any]) -> None:
        self.records.extend(records)
        self.bytes += sum(len(record.value or b"") for record in records)

    def take(self, limit: int) -> Sequence[Any]:
        taken = [self.records.popleft() for _ in range(min(limit, len(self.records)))]
        self.bytes -= sum(len(record.value or b"") for record in taken)
        return taken


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Where a group stands once a batch is acknowledged."""

    place: _Place
    end: int


class _Wave:
    """What is committed together."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.passed: dict[_Place, int] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done.add_done_callback(asyncio.Future.exception)  # nobody need wait for it

    def fail(self, error: PortError) -> None:
        self.done.set_exception(error)


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes part in a group with one consumer."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        cluster: KafkaCluster,
        topics: Collection[str],
        *,
        prefix: str,
        seconds: float,
        news: Callable[[], None],
        tell: Callable[[PortError | None], None],
    ) -> None:
        self._consumer = consumer
        self._cluster = cluster
        self._topics = topics
        self._prefix = prefix
        self._seconds = seconds
        self._news = news
        self._tell = tell
        self._places: dict[TopicPartition, _Place] = {}
        self._wave = _Wave()
        self._to_commit = asyncio.Event()
        self._hands = asyncio.Event()
        self._has_share = False
        self._shared_at = asyncio.get_running_loop().time()

    async def live(self) -> None:
        """Take part until something fails, which is raised."""
        note_connections(self._consumer._client)  # noqa: SLF001 - it makes its own
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch())
                async with kafka_errors("joining the group", seconds=JOIN_SECONDS):
                    self._consumer.subscribe(self._topics, listener=self)
                    await self._consumer.start()
                tasks.create_task(self._poll())
                tasks.create_task(self._commit())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            self._places.clear()
            self._hands.set()
            self._wave.fail(Unavailable("the member has left its group"))

    # For the subscription

    @property
    def without_share(self) -> float:
        """Seconds that it has had no share of its group, since it joined or the broker was last away."""
        return 0.0 if self._has_share else asyncio.get_running_loop().time() - self._shared_at

    def take(self, limit: int) -> list[Batch]:
        """What can be handled now; it is in hand then."""
        return [
            self._batch(place, limit)
            for place in self._open()
            if place.records and place.in_hand is None and place.unsettled < UNSETTLED_MOST and not place.is_lost
        ]

    async def acknowledge(self, marks: Iterable[Mark]) -> None:
        """Commit, together with what others acknowledge meanwhile.

        The next batch of the partition is given out at once: a commit takes several milliseconds, and should it fail,
        what comes again is what was not acknowledged, from the first of them on.
        """
        ours = [mark for mark in marks if self._is_current(mark)]
        if ours:
            wave = self._wave
            wave.marks += ours
            for mark in ours:
                mark.place.in_hand = None
                mark.place.unsettled += 1
            self._to_commit.set()
            self._news()
            await asyncio.shield(wave.done)

    def _open(self) -> Sequence[_Place]:
        return list(self._places.values()) if self._has_share else ()

    def _batch(self, place: _Place, limit: int) -> Batch:
        records = place.take(limit)
        if not place.is_full:
            self._pause(place, paused=False)
        place.in_hand = Mark(place, records[-1].offset + 1)
        topic = place.partition.topic.removeprefix(self._prefix)
        messages = [_message(topic, record) for record in records]
        return Batch(topic, place.partition.partition, messages, place.in_hand)

    def _is_current(self, mark: Mark) -> bool:
        place = mark.place
        return place.in_hand is mark and not place.is_lost and self._places.get(place.partition) is place

    # Its tasks

    async def _poll(self) -> None:
        while True:
            # Whatever is raised here ends the membership: records that aiokafka had ready may be lost to us then, and
            # the next one begins at the group's place again.
            async with kafka_errors("receiving"):
                fetched = await self._consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000))
            for partition, records in fetched.items():
                place = self._places.setdefault(partition, _Place(partition))
                place.add(records)
                for record in records:
                    if isinstance(record.value, Damaged):
                        log.error("passed over: %s cannot be read: %s", _named(record), record.value.decode())
                if place.is_full:
                    self._pause(place, paused=True)
            if fetched:
                self._tell(None)
                self._news()

    def _pause(self, place: _Place, *, paused: bool) -> None:
        partition = place.partition
        if partition in self._consumer.assignment() and (partition in self._consumer.paused()) is not paused:
            (self._consumer.pause if paused else self._consumer.resume)(partition)

    async def _commit(self) -> None:
        while True:
            await self._to_commit.wait()
            self._to_commit.clear()
            wave, self._wave = self._wave, _Wave()
            try:
                await self._commit_wave(wave)
            except PortError as error:
                # Nobody knows whether the group has its place there. The next membership begins where it has, so what
                # was in hand comes again, or need not.
                wave.fail(error)
                raise
            except BaseException:
                wave.fail(Unavailable("the member has left its group"))
                raise
            else:
                wave.done.set_result(None)
            for mark in wave.marks:
                mark.place.unsettled -= 1
            self._hands.set()
            self._news()

    async def _commit_wave(self, wave: _Wave) -> None:
        ends = {place: end for place, end in wave.passed.items() if place.is_idle}
        for mark in wave.marks:
            ends[mark.place] = max(mark.end, ends.get(mark.place, 0))
        # Another may have got a share of ours while this wave waited for the one before.
        ends = {place: end for place, end in ends.items() if self._places.get(place.partition) is place}
        if not ends:
            return
        async with kafka_errors("acknowledging", seconds=self._seconds):
            try:
                await self._consumer.commit({place.partition: end for place, end in ends.items()})
            except (CommitFailedError, IllegalStateError) as error:
                # Shares are changing: what is not committed comes again, to whoever has it then.
                log.info("not acknowledged, since the shares of the group are changing: %s", error)
                for place in ends:
                    place.is_lost = True
                return
        for place, end in ends.items():
            place.committed = end

    async def _watch(self) -> None:
        """Notice a broker that is away, and a consumer that lives and does nothing."""
        still: dict[TopicPartition, tuple[int | None, float]] = {}
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                ends = await self._cluster.ends(self._topics)
            except PortError as error:
                self._tell(error)
                still.clear()
                self._shared_at = loop.time()
                continue
            self._tell(None)
            if not self._has_share:
                if loop.time() - self._shared_at > JOIN_SECONDS:
                    raise Unavailable(f"the member has had no share of its group for {JOIN_SECONDS:g} s")
                continue
            for partition in self._consumer.assignment():
                position = await self._position(partition)
                place = self._places.setdefault(partition, _Place(partition))
                if not place.is_idle or (position is not None and position >= ends.get(partition, position)):
                    still.pop(partition, None)
                elif still.setdefault(partition, (position, loop.time()))[0] != position:
                    still[partition] = (position, loop.time())
                elif loop.time() - still[partition][1] > STUCK_SECONDS:
                    raise Unavailable(f"nothing of {partition.topic} {partition.partition} has come, though there is")
                if place.is_idle and position not in {None, place.committed}:
                    # What is no message, such as the end of a transaction, is passed without being handled by anyone.
                    self._wave.passed[place] = position
                    self._to_commit.set()

    async def _position(self, partition: TopicPartition) -> int | None:
        try:
            async with asyncio.timeout(POSITION_SECONDS):
                position: int = await self._consumer.position(partition)
        except (TimeoutError, KafkaError):
            return None
        return position

    # What aiokafka calls

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's
        """Shares are about to change: give out no more, and let what is in hand be finished, for a while."""
        self._has_share, self._shared_at = False, asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(HANDS_SECONDS):
                while any(place.is_owed for place in self._places.values()):
                    self._hands.clear()
                    await self._hands.wait()
        self._places.clear()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """This is our share now, each partition from the group's place on."""
        self._has_share = True
        log.info(
            "the share of this member: %s", ", ".join(f"{each.topic} {each.partition}" for each in sorted(assigned))
        )
        self._news()


def _message(topic: str, record: Any) -> Message:
    if isinstance(record.value, Damaged):
        return to_notice(topic, _named(record), record.value.decode())
    return to_message(topic, record.value, record.headers)


def _named(record: Any) -> str:
    return f"the record at offset {record.offset} of {record.topic} {record.partition}"
