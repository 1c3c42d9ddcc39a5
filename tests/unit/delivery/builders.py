"""The delivery of a whole process, wired by hand, and doubles that fail on purpose."""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar, cast
from uuid import UUID

from adapters.event_broker.memory import MemoryEventBroker
from adapters.ids import UuidV7Ids
from adapters.mailer.memory import MemoryMailer
from adapters.persistence.memory import MemoryPersistence
from adapters.task_queue.memory import MemoryTaskQueue
from domain.delivery.attempts import Attempts
from domain.delivery.dead_letters import DeadLetters
from domain.delivery.perform import Perform, Work
from domain.delivery.receive import Reaction, Receive
from domain.delivery.relay import EventRelay, TaskRelay
from domain.delivery.retry import Retry
from domain.delivery.shares import LeasedShares
from domain.delivery.unit_of_work import Recording
from domain.model import tasks
from domain.model.events import Event, OrderCreated
from domain.model.order import Order
from domain.services.confirm_order import ConfirmOrder
from domain.services.create_order import CreateOrder
from domain.services.ownership import Ownership
from domain.services.register_user import RegisterUser
from domain.services.send_order_confirmation import SendOrderConfirmation
from domain.services.send_welcome_email import SendWelcomeEmail
from ports.deliveries import Delivery, Lane
from ports.delivery_counts import DeliveryCounts, Step
from ports.errors import Unavailable
from ports.event_broker import Batch, EventBroker, Outcome, Subscription
from ports.ids import Ids
from ports.message import Message, write_event
from ports.persistence import Answers, Leases, Ledger, Orders, Persistence, Traffic, UnitOfWork, Users, Write
from ports.task_queue import TaskQueue
from tests.builders import a_line, a_user, an_email, an_id, an_order
from tests.clock import ManualClock

GROUP = "crossdock"
TOPICS = ("order_events", "user_events")
PARTITIONS = 4
MOST = 3  # attempts

Reactions = Mapping[type[Event], Reaction]
T = TypeVar("T")


class CountedIds(Ids):
    """The same ids in the same order each time, so that a history can be repeated."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def new(self) -> UUID:
        return UUID(int=0x01A0 << 112 | 0x7 << 76 | 0b10 << 62 | next(self._numbers))


@dataclass
class World:
    """What outlives a process: the store, the broker, the mailboxes, and time."""

    clock: ManualClock
    ids: Ids
    store: MemoryPersistence
    broker: MemoryEventBroker
    mailer: MemoryMailer

    @classmethod
    async def begin(cls, ids: Ids | None = None) -> "World":
        clock = ManualClock()
        ids = ids or UuidV7Ids(clock)
        world = cls(clock, ids, MemoryPersistence(clock), cls._new_broker(ids), MemoryMailer())
        await world.store.start()
        await world.broker.start()
        await world.broker.declare(TOPICS, GROUP)
        return world

    async def lose_the_broker(self) -> None:
        """The broker of before is gone with all that it had; another is there."""
        await self.broker.stop()
        self.broker = self._new_broker(self.ids)
        await self.broker.start()

    async def process(self, **changes: Any) -> "Process":
        """A process that has just started."""
        process = Process(self, **changes)
        await process.queue.start()
        return process

    async def deliveries(self, lane: Lane) -> int:
        """How many rows of a lane there are."""
        counts = await self.store.ledger.counts()
        return sum(number for (of, _), number in counts.items() if of is lane)

    async def desk(self) -> Sequence[Delivery]:
        return (await self.store.ledger.dead(after=0, limit=1_000)).items

    def published(self, subject: str | None = None) -> list[str]:
        """The ids of what the broker has confirmed, oldest first."""
        messages = self.broker.published
        return [each.attributes["id"] for each in messages if subject is None or each.subject == subject]

    @staticmethod
    def _new_broker(ids: Ids) -> MemoryEventBroker:
        return MemoryEventBroker(ids, partitions=PARTITIONS)


class Process:
    """One process over a world: the same parts that the container wires, with what a test replaces."""

    def __init__(
        self,
        world: World,
        *,
        store: Persistence | None = None,
        broker: EventBroker | None = None,
        queue: TaskQueue | None = None,
        reactions: Reactions | None = None,
        work: Mapping[type[tasks.Task], Work] | None = None,
        performs_here: bool = True,
        shares_queue: bool = False,
        most: int = MOST,
    ) -> None:
        self.name = f"process-{world.ids.new()}"
        self.clock = clock = world.clock
        self.store = store = store or world.store
        self.broker = broker = broker or world.broker
        attempts = Attempts(most=most, delay=1.0, dice=Random(7))
        self.counts = DeliveryCounts()
        self.recording = Recording(
            store,
            clock,
            partitions=PARTITIONS,
            performs_as=self.name if performs_here else None,
            counts=self.counts,
        )
        self.register_user = RegisterUser(self.recording, clock, world.ids)
        self.create_order = CreateOrder(self.recording, clock, world.ids, Ownership(store.users))
        self.confirm_order = ConfirmOrder(clock, world.ids)
        self.reactions: Reactions = {OrderCreated: self.confirm_order} if reactions is None else reactions
        self.work: Mapping[type[tasks.Task], Work] = work or {
            tasks.SendWelcomeEmail: SendWelcomeEmail(store.users, world.mailer),
            tasks.SendOrderConfirmation: SendOrderConfirmation(store.users, store.orders, world.mailer),
        }
        self.shares = LeasedShares(store.leases, clock, role="relay", member=self.name, count=PARTITIONS)
        self.event_relay = EventRelay(
            store,
            broker,
            self.shares,
            clock,
            kept_types=[event.type for event in self.reactions],
            topics=TOPICS,
            group=GROUP,
            counts=self.counts,
        )
        self.perform = Perform(store, clock, self.work, process=self.name, attempts=attempts, counts=self.counts)
        self.memory_queue = MemoryTaskQueue(self.perform)
        self.queue = queue or self.memory_queue
        share = LeasedShares(store.leases, clock, role="tasks", member=self.name, count=1) if shares_queue else None
        self.task_relay = TaskRelay(store, self.queue, clock, attempts=attempts, shares=share, counts=self.counts)
        self.receive = Receive(
            self.recording,
            broker,
            clock,
            world.ids,
            self.reactions,
            topics=TOPICS,
            group=GROUP,
            attempts=attempts,
        )
        self.retry = Retry(self.recording, clock, self.reactions, group=GROUP, process=self.name, attempts=attempts)
        self.dead_letters = DeadLetters(store, clock)
        self.recording.listeners.append(self._enqueue_own_tasks)

    def counted(self, step: Step, name: str) -> int:
        """How many of this name have come so far, in any lane."""
        return sum(count for (at, _, _, named), count in self.counts.steps.items() if (at, named) == (step, name))

    async def _enqueue_own_tasks(self, recorded: Sequence[Delivery]) -> None:
        ours = [one for one in recorded if one.lane is Lane.TASK and one.holder == self.name]
        if ours:
            await self.queue.enqueue(ours)

    async def place_order(self) -> Order:
        """An order of a new user."""
        user = await self.register_user(an_email(), "Ann")
        return await self.create_order(user.id, "EUR", (a_line(),))

    async def receive_once(self) -> None:
        """Receive what there is, handle and acknowledge it, as a member that joins and leaves."""
        subscription = self.broker.subscribe(TOPICS, GROUP)
        try:
            while await self.broker.backlog(TOPICS, GROUP):
                batches = await subscription.receive(limit=100)
                for batch in batches:
                    await self.receive.handle(batch, first=True)
                await subscription.acknowledge(batches)
        finally:
            await subscription.close()

    async def carry(self) -> None:
        """Relay all events that are ready."""
        while await self.event_relay.step():
            pass


# --- messages and batches ---------------------------------------------------------------------------------------------


def a_batch(*messages: Message, partition: int = 0) -> Batch:
    """What a consumer is given."""
    return Batch(messages[0].topic, partition, messages, None)


def created(order: Order, **changes: Any) -> Message:
    """The message that tells of a placed order."""
    message = write_event(OrderCreated.of(order, id=changes.pop("id", None) or an_id()))
    return Message(topic=message.topic, attributes={**message.attributes, **changes}, body=message.body)


def a_created(**changes: Any) -> Message:
    """The message that tells of an order of its own."""
    return created(an_order(user=a_user()), **changes)


class Reacting:
    """A reaction that notes what it was given, and raises what it is told to."""

    def __init__(self) -> None:
        self.ran: list[OrderCreated] = []
        self.effects: list[OrderCreated] = []
        self.failing: dict[str, BaseException] = {}  # by subject, until it is taken out
        self.next_failures: deque[BaseException] = deque()
        self.meanwhile: Callable[[OrderCreated], Awaitable[None]] | None = None

    async def __call__(self, event: OrderCreated, work: UnitOfWork) -> None:
        self.ran.append(event)
        if self.meanwhile is not None:
            await self.meanwhile(event)
        if self.next_failures:
            raise self.next_failures.popleft()
        if event.subject in self.failing:
            raise self.failing[event.subject]
        work.enqueue(tasks.SendOrderConfirmation(id=an_id(), order_id=event.order_id))

    def times(self, subject: object) -> int:
        """How often it ran for a subject."""
        return sum(event.subject == str(subject) for event in self.ran)


# --- doubles that fail ------------------------------------------------------------------------------------------------


class FlakyPersistence(Persistence):
    """Another persistence, seen over a connection that fails when it is told to.

    ``commits`` are raised by the next commits: `Unknown` after the commit was done when ``is_done``, all others instead
    of it. ``cut`` makes everything `raised` from then on: the process behind this connection is dead.
    """

    def __init__(self, inner: Persistence) -> None:
        self.inner = inner
        self.failures: deque[tuple[Exception | None, bool]] = deque()
        self.raised: Exception | None = None
        self.after_reading: Callable[[str], Awaitable[None]] | None = None
        self.before_commit: Callable[[Sequence[Write]], Awaitable[None]] | None = None
        self.after_commit: Callable[[Sequence[Write]], Awaitable[None]] | None = None
        self.committed: list[Sequence[Write]] = []
        self.users = cast("Users", _Gate(self, inner.users))
        self.orders = cast("Orders", _Gate(self, inner.orders))
        self.ledger = cast("Ledger", _Gate(self, inner.ledger))
        self.leases = cast("Leases", _Gate(self, inner.leases))
        self.answers = cast("Answers", _Gate(self, inner.answers))

    def fail_next(self, *errors: Exception, is_done: bool = False) -> None:
        self.failures.extend((error, is_done) for error in errors)

    async def start(self) -> None:
        await self.inner.start()

    async def stop(self) -> None:
        await self.inner.stop()

    async def ping(self) -> None:
        self.check()
        await self.inner.ping()

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        self.check()
        if self.before_commit is not None:
            await self.before_commit(writes)
        error, is_done = self.failures.popleft() if self.failures else (None, True)
        if is_done:
            await self.inner.commit(writes, traffic=traffic, seconds=seconds)
            self.committed.append(tuple(writes))
            if self.after_commit is not None:
                await self.after_commit(writes)
        if error is not None:
            raise error

    def check(self) -> None:
        if self.raised is not None:
            raise self.raised


class _Gate:
    """Reads of one kind, each stopped while the connection is cut."""

    def __init__(self, persistence: FlakyPersistence, target: object) -> None:
        self._persistence = persistence
        self._target = target

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._target, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            self._persistence.check()
            answer = await method(*arguments, **named)
            if self._persistence.after_reading is not None:
                await self._persistence.after_reading(name)
            return answer

        return call


class FlakyBroker(EventBroker):
    """Another broker, behind a network and with opinions of its own.

    ``judge`` decides what becomes of a message of a batch before it reaches the other broker; ``loses_answers`` lets it
    arrive and says that it is not known to have.
    """

    def __init__(self, inner: EventBroker) -> None:
        self.inner = inner
        self.judge: Callable[[Message, Sequence[Message]], Outcome] = lambda _message, _batch: None
        self.loses_answers = False
        self.raised: dict[str, Exception] = {}  # by the name of the call, until it is taken out
        self.batches: list[Sequence[Message]] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.counted: int | None = None
        self.closes_subscriptions = False

    def check(self, call: str) -> None:
        if call in self.raised:
            raise self.raised[call]

    async def start(self) -> None:
        await self.inner.start()

    async def stop(self) -> None:
        await self.inner.stop()

    async def identity(self) -> str:
        self.check("identity")
        return await self.inner.identity()

    async def declare(self, topics: Sequence[str], group: str) -> None:
        self.check("declare")
        await self.inner.declare(topics, group)

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        self.batches.append(tuple(messages))
        outcomes: list[Outcome] = []
        for message in messages:
            outcome = self.judge(message, messages)
            if outcome is None:
                (outcome,) = await self.inner.publish([message])
                if self.loses_answers:
                    outcome = away()
            outcomes.append(outcome)
        if self.meanwhile is not None:
            await self.meanwhile()
        return outcomes

    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        self.check("subscribe")
        return _FlakySubscription(self, self.inner.subscribe(topics, group))

    async def backlog(self, topics: Sequence[str], group: str) -> int:
        self.check("backlog")
        return await self.inner.backlog(topics, group) if self.counted is None else self.counted


class _FlakySubscription(Subscription):
    def __init__(self, broker: FlakyBroker, inner: Subscription) -> None:
        self._broker = broker
        self._inner = inner

    async def receive(self, *, limit: int) -> Sequence[Batch]:
        self._broker.check("receive")
        if self._broker.closes_subscriptions:
            await self._inner.close()
        return await self._inner.receive(limit=limit)

    async def acknowledge(self, batches: Sequence[Batch]) -> None:
        self._broker.check("acknowledge")
        await self._inner.acknowledge(batches)

    async def close(self) -> None:
        await self._inner.close()
        self._broker.check("close")


class UnavailableQueue(TaskQueue):
    """Answers each task with ``outcome``, and notes what it was given."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.given: list[Delivery] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        self.given.extend(tasks)
        return [self.outcome for _ in tasks]


def away(detail: str = "out of reach", *, retry_after: float | None = None) -> Unavailable:
    return Unavailable(detail, retry_after=retry_after)


async def kill_in(process_store: FlakyPersistence, work: Coroutine[Any, Any, Any], when: asyncio.Event) -> None:
    """Run ``work`` until ``when`` is set, and then end it as a process ends: nothing that it does counts any more."""
    running = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(when.wait())
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert when.is_set(), "it ended before it was killed"
        process_store.raised = away("this process is dead")
    finally:
        for task in (running, waiting):
            task.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
