"""An event broker inside this process: for a laptop and for test suites, with every promise of a real one.

A topic is a number of logs, and a group a place in each of them. What every group has acknowledged is dropped, and
everything is when the process ends: `identity` then says that it is another broker.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from types import MappingProxyType

from ports.errors import Rejected, Unavailable
from ports.event_broker import Batch, EventBroker, Outcome, Subscription
from ports.ids import Ids
from ports.message import BODY_MOST, Message, partition_of

_PUBLISHED_MOST = 10_000


class MemoryEventBroker(EventBroker):
    """Carries messages between publishers and groups on one event loop.

    Holds at most ``most_messages``; what is published beyond that is `Unavailable`, and so is what is published on a
    topic that nobody has declared, since nobody would get it.
    """

    def __init__(self, ids: Ids, *, partitions: int, most_messages: int = 100_000) -> None:
        self._identity = f"memory-{ids.new()}"
        self._partitions = partitions
        self._most_messages = most_messages
        self._topics: dict[str, _Topic] = {}
        self._is_open = False
        self._published: deque[Message] = deque(maxlen=_PUBLISHED_MOST)

    @property
    def published(self) -> Sequence[Message]:
        """The latest 10,000 messages that were confirmed, oldest first; for test suites."""
        return tuple(self._published)

    async def start(self) -> None:
        self._is_open = True

    async def stop(self) -> None:
        self._is_open = False
        for topic in self._topics.values():
            for log in topic.logs:
                log.wake()

    async def identity(self) -> str:
        self.check_open()
        return self._identity

    async def declare(self, topics: Sequence[str], group: str) -> None:
        self.check_open()
        for topic in topics:
            self._group(topic, group)

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return [self._publish(message) for message in messages]

    def subscribe(self, topics: Sequence[str], group: str) -> "MemorySubscription":
        return MemorySubscription(self, {topic: self._group(topic, group) for topic in topics})

    async def backlog(self, topics: Sequence[str], group: str) -> int:
        self.check_open()
        declared = [self._topics[topic].groups.get(group) for topic in set(topics) if topic in self._topics]
        return sum(place.backlog for group_ in declared if group_ for place in group_.places)

    def check_open(self) -> None:
        """Raise `Unavailable` unless the broker is started."""
        if not self._is_open:
            raise Unavailable("the in-memory event broker is not started")

    def _publish(self, message: Message) -> Outcome:
        if len(message.body) > BODY_MOST:
            return Rejected(f"the body has {len(message.body):,} bytes, more than {BODY_MOST:,}")
        if not self._is_open:
            return Unavailable("the in-memory event broker is not started")
        topic = self._topics.get(message.topic)
        if topic is None:
            return Unavailable(f"no group has declared the topic {message.topic!r}")
        if sum(topic.held for topic in self._topics.values()) >= self._most_messages:
            return Unavailable(f"the in-memory event broker is full: it holds {self._most_messages:,} messages")
        message = replace(message, attributes=MappingProxyType(dict(message.attributes)))
        topic.log_of(message).append(message)
        self._published.append(message)
        return None

    def _group(self, topic: str, group: str) -> "_Group":
        if topic not in self._topics:
            self._topics[topic] = _Topic([_Log() for _ in range(self._partitions)])
        return self._topics[topic].group(group)


class MemorySubscription(Subscription):
    """One member of a group, with its share of the partitions of each topic."""

    def __init__(self, broker: MemoryEventBroker, groups: Mapping[str, "_Group"]) -> None:
        self._broker = broker
        self._groups = groups
        self._is_closed = False
        self._news = asyncio.Event()
        for group in groups.values():
            group.join(self)

    async def receive(self, *, limit: int) -> Sequence[Batch]:
        while not self._is_closed:
            self._broker.check_open()
            if batches := self._take(limit):
                return batches
            # Nothing is in hand while waiting, so a wait that is cancelled loses nothing.
            self._news.clear()
            await self._news.wait()
        return []

    async def acknowledge(self, batches: Sequence[Batch]) -> None:
        self._broker.check_open()
        for batch in batches:
            if isinstance(batch.mark, _Mark):
                batch.mark.acknowledge()
        self._news.set()

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            for group in self._groups.values():
                group.leave(self)
            self._news.set()

    def wake(self) -> None:
        """There may be something new to receive."""
        self._news.set()

    def _take(self, limit: int) -> list[Batch]:
        return [
            Batch(topic, partition, messages, place.in_hand)
            for topic, group in self._groups.items()
            for partition, place in enumerate(group.places)
            if place.owner is self and (messages := place.take(limit))
        ]


@dataclass(slots=True)
class _Topic:
    logs: Sequence["_Log"]
    groups: dict[str, "_Group"] = field(default_factory=dict)
    turns: Iterator[int] = field(default_factory=count)

    @property
    def held(self) -> int:
        return sum(len(log.messages) for log in self.logs)

    def log_of(self, message: Message) -> "_Log":
        """Messages of one subject go into one log; those without take turns."""
        if message.subject is None:
            return self.logs[next(self.turns) % len(self.logs)]
        return self.logs[partition_of(message.subject, len(self.logs))]

    def group(self, name: str) -> "_Group":
        """The group of this name; a new one gets what is published from now on."""
        if name not in self.groups:
            self.groups[name] = _Group([log.new_place() for log in self.logs])
        return self.groups[name]


class _Log:
    """The messages of one partition that some group has not acknowledged."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.end = 0  # the number that the next message gets
        self._start = 0
        self._places: list[_Place] = []

    def new_place(self) -> "_Place":
        place = _Place(self, self.end)
        self._places.append(place)
        return place

    def append(self, message: Message) -> None:
        self.messages[self.end] = message
        self.end += 1
        self.wake()

    def drop(self) -> None:
        """Let go of what every group has acknowledged."""
        needed = min(place.acknowledged for place in self._places)
        for number in range(self._start, needed):
            del self.messages[number]
        self._start = needed

    def wake(self) -> None:
        for place in self._places:
            if place.owner is not None:
                place.owner.wake()


@dataclass(slots=True, eq=False)
class _Place:
    """Where a group stands in a log, and which of its members reads it."""

    log: _Log
    acknowledged: int  # every message before this number
    owner: MemorySubscription | None = None
    in_hand: "_Mark | None" = None

    @property
    def backlog(self) -> int:
        return self.log.end - self.acknowledged

    def take(self, limit: int) -> Sequence[Message]:
        """The next messages, which then are in hand; none while others still are."""
        end = min(self.log.end, self.acknowledged + limit)
        if self.in_hand is not None or end <= self.acknowledged:
            return ()
        self.in_hand = _Mark(self, end)
        return tuple(self.log.messages[number] for number in range(self.acknowledged, end))

    def give_to(self, owner: MemorySubscription | None) -> None:
        """What another member has in hand and not acknowledged comes again, to this one."""
        if owner is not self.owner:
            self.owner, self.in_hand = owner, None
            if owner is not None:
                owner.wake()


@dataclass(frozen=True, slots=True, eq=False)
class _Mark:
    """Where a group stands once a batch is acknowledged."""

    place: _Place
    end: int

    def acknowledge(self) -> None:
        if self.place.in_hand is self:  # else the partition has gone to another member, or this is said twice
            self.place.acknowledged, self.place.in_hand = self.end, None
            self.place.log.drop()


@dataclass(slots=True)
class _Group:
    places: Sequence[_Place]  # by partition
    members: list[MemorySubscription] = field(default_factory=list)

    def join(self, member: MemorySubscription) -> None:
        self.members.append(member)
        self._share()

    def leave(self, member: MemorySubscription) -> None:
        self.members.remove(member)
        self._share()

    def _share(self) -> None:
        for partition, place in enumerate(self.places):
            place.give_to(self.members[partition % len(self.members)] if self.members else None)
