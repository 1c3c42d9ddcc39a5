"""A member of a group: it shares the partition queues with others by leases, and consumes those that it holds."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from adapters.event_broker.rabbitmq.connection import Connection
from adapters.event_broker.rabbitmq.errors import may_be_of_one_queue, translated
from adapters.event_broker.rabbitmq.partition import Consumer, Mark, Partition
from adapters.event_broker.rabbitmq.topology import Topology
from ports.errors import PortError, Unavailable
from ports.event_broker import Batch, Subscription
from ports.shares import Shares
from ports.told_once import ToldOnce
from ports.trouble import Cause, Trouble

log = logging.getLogger("crossdock.event_broker")

ASK_SECONDS = 1.0  # between two questions which partitions are ours
ANSWER_SECONDS = 3.0  # for the answer
SURE_SECONDS = 4.0  # so long an answer holds: others take over soon after
UNSURE_SECONDS = 8.0  # longer than a connection usually needs to be made again
IN_HAND_SECONDS = 60.0  # so long a message may stay unacknowledged
DECLARE_SECONDS = 20.0
OPEN_SECONDS = 10.0
AGAIN_SECONDS = 3.0  # between two questions to a queue that does not answer
ASKED_MOST = 4  # queues that are asked apart at once
APART_SECONDS = 1.0  # before what was lost is opened again, at most
CLOSE_SECONDS = 3.0


class RabbitMqSubscription(Subscription):
    """Receives from the queues of the partitions that are ours.

    A partition that becomes another's is given back by closing its consumer, once the batch in hand is acknowledged.
    The other's consumer may be there before: its queue has a single active consumer, so it gets nothing until then.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], Awaitable[Connection]],
        identity: Callable[[Connection], str],
        topology: Topology,
        topics: Sequence[str],
        group: str,
        shares: Shares,
    ) -> None:
        self.group = group
        self._connect = connect
        self._identity = identity
        self._topology = topology
        self._topics = topics
        self._shares = shares
        self._partitions = [
            Partition(topic, number, topology.queue(group, topic, number)) for topic, number in topology.each(topics)
        ]
        self._held: frozenset[int] = frozenset()
        self._begun_at = time.monotonic()
        self._sure_until = float("-inf")
        self._trouble: PortError | None = None
        self._is_declared = False
        self._is_closed = False
        self._told = ToldOnce(log, "receiving goes on")
        self._news = asyncio.Event()  # for who receives
        self._work = asyncio.Event()  # for who opens and closes consumers
        self._running: asyncio.Task[None] | None = None
        self._opening: dict[Partition, asyncio.Task[None]] = {}
        self._asking = asyncio.Semaphore(ASKED_MOST)
        self._failure: Exception | None = None  # of opening a consumer, for a reason that is no single queue's

    @property
    def unanswered(self) -> list[str]:
        """The queues that are ours and do not answer."""
        return [each.queue for each in self._partitions if each.unanswered > 1 and each.number in self._held]

    @property
    def trouble(self) -> Trouble | None:
        seconds = time.monotonic() - max(self._sure_until, self._begun_at)
        if self._is_closed or self._running is None or seconds < UNSURE_SECONDS:
            return None
        return Trouble(Cause.STUCK, f"which partitions may be received has not been known for {seconds:.0f} s")

    async def receive(self, *, limit: int) -> Sequence[Batch]:
        while not self._is_closed:
            if self._running is None:
                self._running = asyncio.create_task(self._run())
            if batches := self._take(limit):
                self._told.over()
                return batches
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise Unavailable(str(trouble)) from trouble
            # Nothing is in hand while waiting, so a wait that is cancelled loses nothing.
            self._news.clear()
            await self._news.wait()
        return []

    async def acknowledge(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            if not (isinstance(batch.mark, Mark) and batch.mark.acknowledge()):
                continue
            if batch.partition not in self._held or batch.mark.partition.consumer is None:
                self._work.set()  # to be given back, or opened again, only now
        self._news.set()

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._news.set()
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._shares.give_back()
        except (PortError, TimeoutError) as error:
            log.warning("the partitions of %s are given back when their leases run out: %s", self.group, error)

    def unacknowledged(self, topics: Sequence[str]) -> int:
        """How many messages of these topics we have and have not acknowledged."""
        return sum(
            partition.consumer.unacknowledged
            for partition in self._partitions
            if partition.topic in topics and partition.consumer is not None
        )

    def _take(self, limit: int) -> list[Batch]:
        if time.monotonic() > self._sure_until:
            return []  # we may have been stopped for a while, and others have what was ours
        return [
            Batch(partition.topic, partition.number, messages, partition.in_hand)
            for partition in self._partitions
            if partition.number in self._held and (messages := partition.take(limit))
        ]

    async def _run(self) -> None:
        """Consume until closed, through every loss of the connection."""
        while True:
            try:
                with translated("receiving"):
                    await self._consume()
            except PortError as error:
                self._trouble = error
                self._news.set()
            except Exception as error:  # a subscription that ends silently would wait for ever
                self._told.trouble("receiving failed and goes on", why=error, level=logging.ERROR)
                self._trouble = Unavailable(f"receiving from RabbitMQ failed: {error}")
                self._news.set()
            await asyncio.sleep(_apart())

    async def _consume(self) -> None:
        """Consume while the connection lasts."""
        connection = await self._connect()
        lost = asyncio.ensure_future(connection.lost())
        lost.add_done_callback(lambda _: self._work.set())
        try:
            await self._declare(connection)
            while connection.is_open:
                if not self._is_declared:
                    await asyncio.sleep(_apart())
                    await self._declare(connection)
                await self._ask(self._identity(connection))
                self._follow(connection)
                with suppress(TimeoutError):
                    async with asyncio.timeout(random.uniform(0.8, 1.2) * ASK_SECONDS):  # noqa: S311
                        await self._work.wait()
                self._work.clear()
                if self._failure is not None:
                    raise self._failure
            self._told.trouble("receiving: the connection was lost: %s", connection.error, why=connection.error)
        finally:
            lost.cancel()
            opening = tuple(self._opening.values())
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)
            self._opening.clear()  # also what was cancelled before it began
            self._failure = None
            for partition in self._partitions:
                partition.drop()
            await connection.close()

    async def _declare(self, connection: Connection) -> None:
        self._is_declared = True  # before, as a queue may vanish meanwhile
        async with asyncio.timeout(DECLARE_SECONDS):
            await self._topology.declare(connection, self._topics, self.group)

    async def _ask(self, side: str) -> None:
        """Which partitions are ours now.

        Nothing is kept from others for being in hand: of a busy partition something always is, and whoever joins would
        get nothing. The other's consumer may wait at the queue meanwhile, which has one active consumer at a time.
        """
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._held = frozenset(await self._shares.hold(side))
        except (Unavailable, TimeoutError) as error:
            if asked_at > self._sure_until:
                self._held = frozenset()
                raise Unavailable(f"which partitions are ours is not known: {error}") from error
        else:
            self._sure_until = asked_at + SURE_SECONDS
            self._trouble = None
            self._news.set()

    def _follow(self, connection: Connection) -> None:
        """Open a consumer for each partition that is ours, and close those of others.

        Nothing waits for a consumer to be opened: a queue without a leader does not answer for over a minute.
        """
        now = time.monotonic()
        for partition in self._partitions:
            is_overdue = partition.in_hand is not None and now - partition.in_hand.since > IN_HAND_SECONDS
            is_others = partition.number not in self._held and partition.in_hand is None
            is_idle = partition.consumer is None and partition.in_hand is None and partition not in self._opening
            if is_overdue or is_others or (partition.consumer is not None and not partition.consumer.is_open):
                partition.drop()
            elif partition.number in self._held and is_idle and now >= partition.again_at:
                self._opening[partition] = asyncio.create_task(self._open(connection, partition))

    async def _open(self, connection: Connection, partition: Partition) -> None:
        try:
            if partition.unanswered:
                await self._ask_apart(partition)
            async with asyncio.timeout(OPEN_SECONDS):
                partition.consumer = await Consumer.open(
                    connection, partition, on_news=self._news.set, on_end=self._on_end
                )
        except Exception as error:
            if may_be_of_one_queue(error):
                self._note_unanswered(partition)
            elif partition.unanswered:
                partition.again_at = time.monotonic() + AGAIN_SECONDS
            else:
                self._failure = error
        else:
            partition.unanswered = 0
            self._told.over(partition.queue)
        finally:
            self._opening.pop(partition, None)
            self._work.set()

    async def _ask_apart(self, partition: Partition) -> None:
        """Consume on a connection that nothing else needs: with a queue that has no leader the server ends it."""
        async with self._asking, asyncio.timeout(OPEN_SECONDS):
            connection = await self._connect()
            try:
                consumer = await Consumer.open(connection, partition, on_news=self._news.set, on_end=self._work.set)
                consumer.close()
                await connection.close()
            finally:
                connection.abort()

    def _note_unanswered(self, partition: Partition) -> None:
        """After the first time it is asked apart at once: what ended the connection may have been another queue."""
        partition.unanswered += 1
        if partition.unanswered > 1:
            partition.again_at = time.monotonic() + AGAIN_SECONDS
            why = f"the queue {partition.queue} does not answer"
            self._told.trouble("receiving: %s", why, why=why, key=partition.queue)

    def _on_end(self) -> None:
        """The server has ended a consumer: its queue may be gone."""
        self._is_declared = False
        self._work.set()


def _apart() -> float:
    """Seconds before the next attempt: members that lost the same thing do not return in step."""
    return random.uniform(0.1, 1) * APART_SECONDS  # noqa: S311
