"""Publishing with confirmations: many messages on their way, one outcome for each."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from types import EllipsisType
from typing import Any, Final

from pika.spec import Basic, BasicProperties  # type: ignore[import-untyped]

from adapters.event_broker.rabbitmq.connection import Channel, Connection
from adapters.event_broker.rabbitmq.errors import may_be_of_one_queue, translated
from adapters.event_broker.rabbitmq.line import Line
from adapters.event_broker.rabbitmq.topology import Topology
from adapters.event_broker.rabbitmq.wire import EncodedProperties, check_body, message_from
from ports.errors import PortError, Rejected, Unavailable
from ports.event_broker import Outcome
from ports.message import Message, partition_of
from ports.shared_work import begin_shared
from ports.told_once import ToldOnce

log = logging.getLogger("crossdock.event_broker")

PUBLISH_SECONDS = 10.0
BLOCKED_GRACE_SECONDS = 1.0  # for what the server had read before it took no more
CHANNELS_MOST = 8
DOUBTS_MOST = 1_000  # routing keys that are asked about at once: less than a connection may have channels
WINDOW = 500  # messages unconfirmed on a channel
WINDOW_BYTES = 4 * 1024 * 1024
TOLD_SECONDS = 30.0  # so long it is told that nothing was confirmed; whatever waits is tried more often
WITHOUT_REST = 50  # messages encoded before others on the event loop have their turn

BLOCKED: Final = "RabbitMQ takes no messages: it is short of memory or of disk"


class Publisher:
    """Publishes batches, and keeps a queue that does not answer from holding up the others.

    The server's side of a channel stands still for over a minute at the first message for a queue without a leader, and
    a few hundred messages that one queue does not take keep it from reading the whole connection. So a routing key with
    which a message was not confirmed in time is in doubt: of what is published with it, one message at a time is sent,
    over a connection that nothing else needs, and the rest is `Unavailable` at once, until one is answered.
    """

    def __init__(self, line: Line, line_of_doubts: Line, topology: Topology) -> None:
        self._topology = topology
        self._turns = count()
        self._channels = _Channels(line, topology.exchange, CHANNELS_MOST)
        self._channels_of_doubts = _Channels(line_of_doubts, topology.exchange, DOUBTS_MOST)
        self._doubts: dict[str, _Doubt] = {}
        self._faults = ToldOnce(log, "queues that may not answer are asked again")

    @property
    def unanswered(self) -> list[str]:
        """The routing keys with which nothing was confirmed a moment ago."""
        now = time.monotonic()
        return [key for key, doubt in self._doubts.items() if now - doubt.latest < TOLD_SECONDS]

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        if not messages:
            return []
        batch = _Batch(len(messages))
        await self._channels.publish(batch, lambda most: self._letters(batch, messages, most))
        for key in batch.unconfirmed:
            self._doubts.setdefault(key, _Doubt(key))
        return batch.told()

    async def stop(self) -> None:
        """Let go of what is sent because of doubts."""
        asking = [doubt.asking for doubt in self._doubts.values() if doubt.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        self._doubts.clear()  # also of what was cancelled before it began

    def _letters(self, batch: "_Batch", messages: Sequence[Message], most: int) -> Iterator["_Letter"]:
        for index, message in enumerate(messages):
            try:
                check_body(message)
                properties = EncodedProperties(message, most=most)
                letter = _Letter(index, self._routing_key(message), properties, message)
            except Rejected as error:
                batch.settle(index, error)
            else:
                doubt = self._doubts.get(letter.routing_key)
                if doubt is None:
                    yield letter
                    continue
                if doubt.asking is None:
                    doubt.asking = begin_shared(self._ask(doubt, letter))
                batch.settle(index, doubt.outcome)

    async def _ask(self, doubt: "_Doubt", letter: "_Letter") -> None:
        """Send one message; any answer ends the doubt. When it was taken, it comes again with the next attempt."""
        try:
            is_answered = await self._channels_of_doubts.publish(_Batch(1), lambda _: iter([replace(letter, index=0)]))
        except Exception as error:  # a fault of ours, which nobody waits for
            self._faults.trouble("asking a queue that may not answer failed", why=error, level=logging.ERROR)
            return
        finally:
            doubt.asking = None
        self._faults.over()
        if is_answered:
            self._doubts.pop(doubt.routing_key, None)
        else:
            doubt.latest = time.monotonic()

    def _routing_key(self, message: Message) -> str:
        partitions = self._topology.partitions
        subject = message.subject
        partition = next(self._turns) % partitions if subject is None else partition_of(subject, partitions)
        return self._topology.routing_key(message.topic, partition)


@dataclass(slots=True, eq=False)
class _Doubt:
    """Whether what is published with a routing key is taken."""

    routing_key: str
    latest: float = float("-inf")  # when the last message that was to find out was not confirmed
    asking: asyncio.Task[None] | None = None

    @property
    def outcome(self) -> Unavailable:
        return Unavailable(f"no answer from the queue for {self.routing_key!r}")


class _Channels:
    """The channels of one connection, each for one batch at a time, so that none suffers for another's fault."""

    def __init__(self, line: Line, exchange: str, most: int) -> None:
        self._line = line
        self._exchange = exchange
        self._slots = asyncio.Semaphore(most)
        self._idle: list[_ConfirmingChannel] = []

    async def publish(self, batch: "_Batch", letters: Callable[[int], Iterator["_Letter"]]) -> bool:
        """Settle the batch in time; whether the server has answered for each that was sent.

        ``letters`` is told how many bytes of properties each may have.
        """
        connection: Connection | None = None
        try:
            with translated("publishing"):
                async with asyncio.timeout(PUBLISH_SECONDS), self._slots:
                    connection = await self._line.connection(seconds=PUBLISH_SECONDS)
                    if connection.is_blocked:
                        raise Unavailable(BLOCKED)
                    await self._send(batch, letters(connection.properties_most), connection)
        except PortError as error:
            batch.settle_rest(error)
            if not may_be_of_one_queue(error.__cause__):
                batch.unconfirmed = frozenset()
            if connection is not None and isinstance(error.__cause__, TimeoutError):
                connection.abort()  # what was not sent is neither to be sent later nor to fill the memory
            return False
        return True

    async def _send(self, batch: "_Batch", letters: Iterator["_Letter"], connection: Connection) -> None:
        self._idle = [channel for channel in self._idle if channel.is_usable_on(connection)]
        channel = self._idle.pop() if self._idle else await _ConfirmingChannel.open(connection, self._exchange)
        try:
            await channel.send(batch, letters)
        except BaseException:
            batch.unconfirmed = channel.unconfirmed
            channel.close()
            raise
        self._idle.append(channel)


class _Batch:
    """What is known of each message of one call."""

    def __init__(self, size: int) -> None:
        self.unconfirmed: frozenset[str] = frozenset()  # routing keys, when one of them may be why
        self._outcomes: list[Outcome | EllipsisType] = [...] * size

    def settle(self, index: int, outcome: Outcome) -> None:
        self._outcomes[index] = outcome

    def settle_rest(self, error: PortError) -> None:
        outcome = error if isinstance(error, Unavailable | Rejected) else Unavailable(str(error))
        self._outcomes = [outcome if known is ... else known for known in self._outcomes]

    def told(self) -> list[Outcome]:
        return [Unavailable("RabbitMQ said nothing of it") if known is ... else known for known in self._outcomes]


@dataclass(slots=True)
class _Letter:
    """A message that is sent, or is to be."""

    index: int
    routing_key: str
    properties: EncodedProperties
    message: Message
    returned: Unavailable | None = None


class _ConfirmingChannel:
    """A channel on which the server confirms what it has taken; one batch at a time."""

    def __init__(self, connection: Connection, channel: Channel, exchange: str) -> None:
        self._connection = connection
        self._channel = channel
        self._exchange = exchange
        self._tag = 0  # of the message sent last
        self._low = 1  # every tag below is settled
        self._sent: dict[int, _Letter] = {}  # by tag, what is not settled
        self._bytes = 0
        self._error: BaseException | None = None
        self._batch: _Batch | None = None
        self._news: asyncio.Future[None] | None = None
        self._most = 0  # unsettled messages at which there is news
        channel.pika.add_on_return_callback(self._on_return)
        channel.when_closed(self._fail)

    @classmethod
    async def open(cls, connection: Connection, exchange: str) -> "_ConfirmingChannel":
        channel = await connection.channel()
        opened = cls(connection, channel, exchange)
        await channel.ask("confirm_delivery", ack_nack_callback=opened.on_confirm)
        return opened

    def is_usable_on(self, connection: Connection) -> bool:
        return connection is self._connection and self._channel.is_open and not self._sent

    @property
    def unconfirmed(self) -> frozenset[str]:
        """The routing keys of what is sent and not settled."""
        return frozenset(letter.routing_key for letter in self._sent.values())

    def close(self) -> None:
        self._batch = None
        self._channel.close()

    async def send(self, batch: _Batch, letters: Iterator[_Letter]) -> None:
        """Return when each letter is settled; raise when that is not to be expected any more."""
        self._batch, self._error = batch, None
        with self._connection.when_blocked(self._on_blocked):
            for number, letter in enumerate(letters, start=1):
                if len(self._sent) >= WINDOW or self._bytes >= WINDOW_BYTES:
                    await self._until_unsettled_are(WINDOW // 2 if self._bytes < WINDOW_BYTES else 0)
                elif number % WITHOUT_REST == 0:
                    await asyncio.sleep(0)
                self._send(letter)
            await self._until_unsettled_are(0)

    def _send(self, letter: _Letter) -> None:
        if self._error is not None:
            raise self._error
        self._channel.pika.basic_publish(
            self._exchange, letter.routing_key, letter.message.body, letter.properties, mandatory=True
        )
        self._tag += 1
        self._sent[self._tag] = letter
        self._bytes += len(letter.message.body)

    async def _until_unsettled_are(self, most: int) -> None:
        while len(self._sent) > most:
            if self._error is not None:
                raise self._error
            self._most = most
            self._news = asyncio.get_running_loop().create_future()
            await self._news

    def on_confirm(self, frame: Any) -> None:
        tag, is_taken = frame.method.delivery_tag, isinstance(frame.method, Basic.Ack)
        for settled in range(self._low, tag + 1) if frame.method.multiple else (tag,):
            letter = self._sent.pop(settled, None)
            if letter is not None:
                self._bytes -= len(letter.message.body)
                if self._batch is not None:
                    refused = None if is_taken else Unavailable("RabbitMQ could not take the message")
                    self._batch.settle(letter.index, letter.returned or refused)
        if frame.method.multiple or tag == self._low:
            self._low = tag + 1
        if len(self._sent) <= self._most:
            self._wake()

    def _on_return(self, _: Any, returned: Basic.Return, properties: BasicProperties, body: bytes) -> None:
        """The confirmation of what nobody would get comes right after this."""
        for letter in self._sent.values():
            is_same = letter.returned is None and letter.routing_key == returned.routing_key
            # Of equal messages it does not matter which is meant.
            if is_same and letter.message == message_from(letter.message.topic, properties, body):
                letter.returned = Unavailable(f"no queue is bound for {letter.routing_key!r}: nobody would get it")
                return

    def _on_blocked(self) -> None:
        asyncio.get_running_loop().call_later(BLOCKED_GRACE_SECONDS, self._fail_if_blocked)

    def _fail_if_blocked(self) -> None:
        if self._connection.is_blocked:
            self._fail(Unavailable(BLOCKED))

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
