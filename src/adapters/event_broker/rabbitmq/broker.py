"""An event broker over RabbitMQ."""

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakSet

from adapters.event_broker.rabbitmq.connection import Connection
from adapters.event_broker.rabbitmq.errors import translated
from adapters.event_broker.rabbitmq.line import Address, Line
from adapters.event_broker.rabbitmq.publisher import Publisher
from adapters.event_broker.rabbitmq.subscription import RabbitMqSubscription
from adapters.event_broker.rabbitmq.topology import Topology
from ports.errors import Rejected, Unavailable
from ports.event_broker import EventBroker, Outcome
from ports.message import Message
from ports.shares import SharesOf
from ports.trouble import Cause, Trouble

log = logging.getLogger("crossdock.event_broker")

ANSWER_SECONDS = 2.5  # for questions that are one of RabbitMQ's own
DECLARE_SECONDS = 20.0
COUNT_SECONDS = 10.0
KNOWN_SECONDS = 1.0  # so long an answer of the server's says that it is there


class RabbitMqEventBroker(EventBroker):
    """Carries messages through one topic exchange to quorum queues, one for each group, topic and partition.

    Members of a group share the partitions by ``shares``. Publishing has a connection of its own, and so has each
    member: when RabbitMQ is short of memory it stops reading from those that publish, and acknowledgements go on.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        partitions: int,
        shares: SharesOf,
        ca_file: Path | None = None,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
    ) -> None:
        self._address = Address(url, ca_file=ca_file, certificate_file=certificate_file, key_file=key_file)
        self._topology = Topology(prefix, partitions)
        self._shares = shares
        self._publishing = Line(self._address, "publishing", self._declare_again)
        self._asking = Line(self._address, "asking")
        self._publishing_apart = Line(self._address, "publishing apart")
        self._publisher = Publisher(self._publishing, self._publishing_apart, self._topology)
        self._declared: dict[str, set[str]] = {}  # topics by group
        self._subscriptions: WeakSet[RabbitMqSubscription] = WeakSet()  # one that runs is kept by its task
        self._is_open = False
        self._answered_at = float("-inf")
        self._answered_on: Connection | None = None

    @property
    def trouble(self) -> Trouble | None:
        """The queues that do not answer, though the server may; what belongs to others goes on."""
        unanswered = {queue for subscription in self._subscriptions for queue in subscription.unanswered}
        for key in self._publisher.unanswered:
            unanswered |= {self._topology.bound(group, key) for group in self._declared} or {key}
        if not unanswered:
            return None
        first, *others = sorted(unanswered)
        more = f", nor do {len(others)} more" if others else ""
        return Trouble(Cause.STUCK, f"the queue {first} does not answer{more}; the others go on")

    async def start(self) -> None:
        self._is_open = True
        self._publishing.open()
        self._publishing_apart.open()
        self._asking.open()

    async def stop(self) -> None:
        self._is_open = False
        await asyncio.gather(
            self._publisher.stop(),
            self._publishing.close(),
            self._publishing_apart.close(),
            self._asking.close(),
            *(subscription.close() for subscription in tuple(self._subscriptions)),
        )

    async def identity(self) -> str:
        """The cluster by its name, the virtual host and the prefix.

        A cluster that was wiped and got its old name back is not told from its former self: over AMQP there is nothing
        to tell it by. The relay finds out in its own way, when nothing of what it sent arrives.
        """
        now = time.monotonic()
        with translated("asking which broker it is"):
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await self._asking.connection(seconds=ANSWER_SECONDS)
                if connection is not self._answered_on or now - self._answered_at > KNOWN_SECONDS:
                    await connection.check()
                    self._answered_at, self._answered_on = now, connection
        return self._identity_of(connection)

    async def declare(self, topics: Sequence[str], group: str) -> None:
        self._declared.setdefault(group, set()).update(topics)
        with translated(f"declaring the queues of {group}"):
            async with asyncio.timeout(DECLARE_SECONDS):
                connection = await self._asking.connection(seconds=DECLARE_SECONDS)
                await self._topology.declare(connection, topics, group)

    async def missing(self, topics: Sequence[str], group: str) -> Sequence[str]:
        with translated(f"looking for the queues of {group}"):
            async with asyncio.timeout(DECLARE_SECONDS):
                connection = await self._asking.connection(seconds=ANSWER_SECONDS)
                missing = await self._topology.missing(connection, topics, group)
        if limited := sorted(self._topology.without_limit):
            raise Rejected(
                f"RabbitMQ drops a message at its 20th delivery from {len(limited)} queues, of which {limited[0]} is"
                " one: set a policy of delivery-limit -1 for them, or delete them when they are empty"
            )
        return missing

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return await self._publisher.publish(messages)

    def subscribe(self, topics: Sequence[str], group: str) -> RabbitMqSubscription:
        subscription = RabbitMqSubscription(
            connect=self._connect,
            identity=self._identity_of,
            topology=self._topology,
            topics=topics,
            group=group,
            shares=self._shares(f"{self._topology.prefix}{group}"),
        )
        self._subscriptions.add(subscription)
        return subscription

    async def backlog(self, topics: Sequence[str], group: str) -> int:
        """What waits in the queues, and what members in this process have in hand.

        What members in other processes have in hand cannot be counted over AMQP. It may be up to the prefetch of each
        queue; who takes the answer for the whole may send some events twice, which are then handled once.
        """
        with translated(f"counting the backlog of {group}"):
            async with asyncio.timeout(COUNT_SECONDS):
                connection = await self._asking.connection(seconds=ANSWER_SECONDS)
                waiting = await self._topology.ready(connection, topics, group)
        # Counted after: what moves from there to here meanwhile is counted twice, not forgotten.
        return waiting + sum(
            subscription.unacknowledged(topics) for subscription in self._subscriptions if subscription.group == group
        )

    async def _declare_again(self, connection: Connection) -> None:
        """A server that comes back may have lost queues, and what is published then must not find none."""
        for group, topics in tuple(self._declared.items()):
            try:
                with translated(f"declaring the queues of {group}"):
                    async with asyncio.timeout(DECLARE_SECONDS):
                        await self._topology.declare(connection, sorted(topics), group)
            except Rejected as error:  # whoever declares is told; what others get is not to suffer
                log.warning("%s", error)

    async def _connect(self) -> Connection:
        if not self._is_open:
            raise Unavailable("the event broker is not started")
        return await self._address.connect("receiving")

    def _identity_of(self, connection: Connection) -> str:
        return f"rabbitmq {connection.cluster} {self._address.virtual_host} {self._topology.exchange}"
