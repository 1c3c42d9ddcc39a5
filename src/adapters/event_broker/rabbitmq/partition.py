"""One partition queue, as a member sees it: what it has received, and the one batch that it has in hand."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pika.spec import Basic, BasicProperties  # type: ignore[import-untyped]

from adapters.event_broker.rabbitmq.connection import Channel, Connection
from adapters.event_broker.rabbitmq.wire import message_from
from ports.message import Message

log = logging.getLogger("crossdock.event_broker")

# Of every consumer, also one that only asks: what goes back to a queue stays in order when who is next gets all of it.
PREFETCH = 200


@dataclass(slots=True, eq=False)
class Partition:
    """A queue of one topic and partition.

    It outlives the consumers that bring its messages: while a batch is in hand no new one is opened, so that what comes
    again after a lost connection is never handed out beside it.
    """

    topic: str
    number: int
    queue: str
    consumer: Consumer | None = None
    in_hand: Mark | None = None
    unanswered: int = 0  # attempts to consume, one after the other
    again_at: float = float("-inf")  # not before is it tried again

    def take(self, limit: int) -> Sequence[Message]:
        """The next messages, which then are in hand; none while others still are."""
        if self.in_hand is not None or self.consumer is None or not self.consumer.waiting:
            return ()
        waiting = self.consumer.waiting
        taken = [waiting.popleft() for _ in range(min(limit, len(waiting)))]
        self.in_hand = Mark(self, self.consumer, taken[-1][0], len(taken))
        return [message for _, message in taken]

    def drop(self) -> None:
        """Close the consumer: what it has goes back to the queue, in order, and comes again to whoever is next."""
        if self.consumer is not None:
            self.consumer.close()
            self.consumer = None


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A batch in hand: all that its consumer was brought, up to a tag."""

    partition: Partition
    consumer: Consumer
    tag: int
    size: int
    since: float = field(default_factory=time.monotonic)

    def acknowledge(self) -> bool:
        """Whether it was in hand; a consumer that is closed was not brought these messages for the last time."""
        if self.partition.in_hand is not self:
            return False
        self.partition.in_hand = None
        if self.consumer is self.partition.consumer:
            self.consumer.acknowledge(self.tag, self.size)
        return True


class Consumer:
    """Receives from one queue on a channel of its own."""

    def __init__(self, channel: Channel, topic: str, on_news: Callable[[], None], on_end: Callable[[], None]) -> None:
        self.waiting: deque[tuple[int, Message]] = deque()  # with the tags of their delivery
        self.unacknowledged = 0
        self._channel = channel
        self._topic = topic
        self._on_news = on_news
        self._on_end = on_end
        self._is_ended = False
        channel.when_closed(self._end)
        channel.pika.add_on_cancel_callback(self._end)

    @classmethod
    async def open(
        cls, connection: Connection, partition: Partition, *, on_news: Callable[[], None], on_end: Callable[[], None]
    ) -> Consumer:
        """Begin to consume; ``on_end`` is called when the server, or the end of the connection, ends it."""
        channel = await connection.channel()
        consumer = cls(channel, partition.topic, on_news, on_end)
        try:
            await channel.ask("basic_qos", prefetch_count=PREFETCH)
            await channel.ask("basic_consume", queue=partition.queue, on_message_callback=consumer.on_message)
        except BaseException:
            consumer.close()
            raise
        return consumer

    @property
    def is_open(self) -> bool:
        return not self._is_ended and self._channel.is_open

    def on_message(self, _: Any, delivery: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
        """Called by pika, and never to raise: that would end the connection."""
        try:
            message = message_from(self._topic, properties, body)
        except Exception as error:  # what headers of others may lead to, nobody knows
            log.warning("a message has headers that cannot be read (%r); it is received without any", error)
            message = Message(topic=self._topic, attributes={}, body=body)
        self.waiting.append((delivery.delivery_tag, message))
        self.unacknowledged += 1
        self._on_news()

    def acknowledge(self, tag: int, size: int) -> None:
        """All up to this tag, of which so many are not acknowledged. There is no answer to it in AMQP."""
        if self.is_open:
            self.unacknowledged -= size
            self._channel.pika.basic_ack(tag, multiple=True)

    def close(self) -> None:
        self._is_ended = True
        self.waiting.clear()
        self._channel.close()

    def _end(self, _: object) -> None:
        """The channel is closed, or the server has cancelled the consumer."""
        if not self._is_ended:
            self._is_ended = True
            self.waiting.clear()
            self._on_end()
