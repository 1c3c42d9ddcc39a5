"""A member of a group, which joins again whenever its consumer fails."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from adapters.event_broker.kafka.cluster import KafkaCluster
from adapters.event_broker.kafka.connection import Farewells
from adapters.event_broker.kafka.membership import Mark, Membership, end_consumer
from ports.errors import PortError, Unavailable
from ports.event_broker import Batch, Subscription
from ports.told_once import ToldOnce
from ports.trouble import Cause, Trouble

log = logging.getLogger("crossdock.event_broker")

REST_SECONDS: Final = 0.5  # before it joins again
APART_SECONDS: Final = 10.0  # longer than members usually need to share anew
LEAVE_SECONDS: Final = 5.0  # to leave the group; what takes longer goes on in the background


class KafkaSubscription(Subscription):
    """Receives what the present membership gives out."""

    def __init__(
        self,
        cluster: KafkaCluster,
        make_consumer: Callable[[], AIOKafkaConsumer],
        farewells: Farewells,
        topics: Collection[str],
        group: str,
        *,
        prefix: str,
        seconds: float,
    ) -> None:
        self._cluster = cluster
        self._make_consumer = make_consumer
        self._farewells = farewells
        self._topics = topics
        self._group = group
        self._prefix = prefix
        self._seconds = seconds
        self._membership: Membership | None = None
        self._apart_since = asyncio.get_running_loop().time()  # from the group, while there is no membership
        self._trouble: PortError | None = None
        self._news = asyncio.Event()
        self._is_closed = False
        self._told = ToldOnce(log, f"the group {group} is received from again")
        self._running = asyncio.create_task(self._run())

    @property
    def is_over(self) -> bool:
        """Whether it has been closed, and nothing of it is left."""
        return self._running.done()

    @property
    def trouble(self) -> Trouble | None:
        if self._membership is not None:
            seconds = self._membership.without_share
        else:
            seconds = asyncio.get_running_loop().time() - self._apart_since
        if self._is_closed or seconds < APART_SECONDS:
            return None
        return Trouble(Cause.STUCK, f"the consumer has had no share of its group for {seconds:.0f} s")

    async def receive(self, *, limit: int) -> Sequence[Batch]:
        while not self._is_closed:
            # Nothing is in hand while waiting, so a wait that is cancelled loses nothing.
            if self._membership is not None and (batches := self._membership.take(limit)):
                self._told.over()
                return batches
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise Unavailable(str(trouble)) from trouble
            self._news.clear()
            await self._news.wait()
        return []

    async def acknowledge(self, batches: Sequence[Batch]) -> None:
        if self._membership is not None:
            await self._membership.acknowledge(batch.mark for batch in batches if isinstance(batch.mark, Mark))

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._news.set()
            self._running.cancel()
        await asyncio.wait({self._running}, timeout=LEAVE_SECONDS)

    async def _run(self) -> None:
        while True:
            try:
                await self._cluster.declare(self._topics, self._group)
                await self._take_part()
            except PortError as error:
                self._tell(error)
            except Exception as error:
                text = "a member of the group %s failed and joins again"
                self._told.trouble(text, self._group, why=error, level=logging.ERROR)
                self._tell(Unavailable(f"the member of the group failed: {type(error).__name__}"))
            await asyncio.sleep(REST_SECONDS)

    async def _take_part(self) -> None:
        consumer = self._make_consumer()
        self._membership = Membership(
            consumer,
            self._cluster,
            self._topics,
            prefix=self._prefix,
            seconds=self._seconds,
            news=self._news.set,
            tell=self._tell,
        )
        try:
            await self._membership.live()
        finally:
            self._membership, self._apart_since = None, asyncio.get_running_loop().time()
            leaving = self._farewells.let_go(end_consumer(consumer))
            with suppress(asyncio.CancelledError):
                await asyncio.wait({leaving}, timeout=LEAVE_SECONDS)

    def _tell(self, trouble: PortError | None) -> None:
        self._trouble = trouble
        if trouble is not None:
            self._news.set()
