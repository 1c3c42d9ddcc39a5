"""The exchange and the queues, by the names that every member and every publisher knows.

One durable topic exchange; for each group, topic and partition a durable quorum queue. Order within a queue is kept by
one active consumer; that consumers are spread over the queues is our leases' doing.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pika.exceptions import ChannelClosedByBroker  # type: ignore[import-untyped]

from adapters.event_broker.rabbitmq.connection import Channel, Connection

log = logging.getLogger("crossdock.event_broker")

_NOT_FOUND = 404
_LIMIT = "x-delivery-limit"
_ARGUMENTS = {"x-queue-type": "quorum", "x-single-active-consumer": True}
# From 4.0 on a message is dropped at its 20th delivery unless this is said; to 3.x it would mean: at its first again.
_ARGUMENTS_FROM_4 = {**_ARGUMENTS, _LIMIT: -1}


@dataclass(frozen=True, slots=True)
class Topology:
    """The names of one environment, told apart by its prefix."""

    prefix: str
    partitions: int
    without_limit: set[str] = field(default_factory=set)  # queues older than the server's version 4, as far as we know

    @property
    def exchange(self) -> str:
        return f"{self.prefix}crossdock.events"

    def queue(self, group: str, topic: str, partition: int) -> str:
        return self.bound(group, self.routing_key(topic, partition))

    def bound(self, group: str, routing_key: str) -> str:
        """The group's queue that gets what is published with this key."""
        return f"{self.prefix}{group}.{routing_key}"

    def routing_key(self, topic: str, partition: int) -> str:
        return f"{topic}.{partition}"

    def each(self, topics: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Each partition of these topics."""
        return ((topic, partition) for topic in dict.fromkeys(topics) for partition in range(self.partitions))

    async def declare(self, connection: Connection, topics: Sequence[str], group: str) -> None:
        """Make what is not there; a queue that is there with other arguments is an error of the server's."""
        channel = await connection.channel()
        try:
            await channel.ask("exchange_declare", exchange=self.exchange, exchange_type="topic", durable=True)
            for topic, partition in self.each(topics):
                queue = self.queue(group, topic, partition)
                channel = await self._declare_queue(connection, channel, queue)
                keys = [self.routing_key(topic, partition)]
                if partition == 0:  # here arrives what others publish who know nothing of partitions
                    keys.append(topic)
                for key in keys:
                    await channel.ask("queue_bind", queue=queue, exchange=self.exchange, routing_key=key)
        finally:
            channel.close()

    async def missing(self, connection: Connection, topics: Sequence[str], group: str) -> Sequence[str]:
        """The queues that are not there; of each that is its arguments are compared, which only declaring does."""
        channel = await connection.channel()
        missing = []
        try:
            for topic, partition in self.each(topics):
                queue = self.queue(group, topic, partition)
                try:
                    await channel.ask("queue_declare", queue=queue, passive=True)
                except ChannelClosedByBroker as error:
                    if error.reply_code != _NOT_FOUND:
                        raise
                    missing.append(queue)
                    channel = await connection.channel()
                else:
                    channel = await self._declare_queue(connection, channel, queue)
        finally:
            channel.close()
        return missing

    async def ready(self, connection: Connection, topics: Sequence[str], group: str) -> int:
        """How many messages wait in the queues that are there, those aside that some consumer has in hand."""
        channel = await connection.channel()
        waiting = 0
        try:
            for topic, partition in self.each(topics):
                try:
                    answer = await channel.ask("queue_declare", queue=self.queue(group, topic, partition), passive=True)
                except ChannelClosedByBroker as error:
                    if error.reply_code != _NOT_FOUND:
                        raise
                    channel = await connection.channel()
                else:
                    waiting += answer.method.message_count
        finally:
            channel.close()
        return waiting

    async def _declare_queue(self, connection: Connection, channel: Channel, queue: str) -> Channel:
        """Declare one queue; returns a channel that is open."""
        if connection.is_version(4) and queue not in self.without_limit:
            try:
                await channel.ask("queue_declare", queue=queue, durable=True, arguments=_ARGUMENTS_FROM_4)
            except ChannelClosedByBroker as error:
                if _LIMIT not in error.reply_text:
                    raise
                channel = await connection.channel()
            else:
                return channel
            self.without_limit.add(queue)
            log.warning(
                "the queue %s has not %s -1, so RabbitMQ drops a message at its 20th delivery:"
                " set a policy for it, or delete it when it is empty",
                queue,
                _LIMIT,
            )
        await channel.ask("queue_declare", queue=queue, durable=True, arguments=_ARGUMENTS)
        return channel
