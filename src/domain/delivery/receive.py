"""Receives events from the broker and runs reactions, each remembered in the same transaction as its effect."""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Never

from domain.delivery.attempts import Attempts, Outage
from domain.delivery.bound import Bound
from domain.delivery.failures import PROCESS_ENDED, is_told_to_end, reason, say_dead, storable, together
from domain.delivery.in_hand import InHand
from domain.delivery.pace import REST_MOST, Pace
from domain.delivery.unit_of_work import Recording
from domain.model.events import Event
from domain.model.times import from_rfc3339
from domain.model.value import value
from ports.clock import Clock
from ports.crash_points import CrashPoint, reached
from ports.deliveries import Delivery, Happening, Lane, State, ordering_key
from ports.delivery_counts import Step
from ports.errors import Conflict, PortError, Precondition, Rejected, Unavailable, Unknown
from ports.event_broker import Batch, EventBroker, Subscription
from ports.ids import Ids
from ports.log_context import Handled, Handling
from ports.message import BODY_MOST, SOURCE, Message, Unreadable, read_event
from ports.persistence import (
    Advance,
    LaneState,
    Record,
    Remember,
    Remove,
    Survey,
    TakeInHand,
    Traffic,
    Unblock,
    UnitOfWork,
    Write,
)
from ports.told_once import ToldOnce
from ports.trace_context import trace_of
from ports.trouble import Cause, Trouble

log = logging.getLogger("crossdock.consumer")

BATCH_MOST = 250  # messages of one partition at once
BATCH_PRESSED = 2  # the same while many requests wait
REMEMBERED = timedelta(days=30)  # how long the inbox knows what it has seen
PARKED_MOST = 10_000  # messages of one group that we keep; beyond, the backlog stays in the broker
RERUNS_MOST = 10  # of a reaction that read stale data
TROUBLE_SECONDS = 20.0  # after a failure: twice as long as the longest pause before the next try
REACTION_SECONDS = 15.0  # a reaction that hangs has failed, and does not hold its partition for ever
NAME_MOST = 200  # characters of what others name things by; a longer name is known by its hash

Reaction = Callable[[Any, UnitOfWork], Awaitable[None]]


@value
class _Incoming:
    """A received message, read, with the names that the inbox and the lanes know it by."""

    message: Message
    source: str
    id: str
    subject: str | None
    event: Event | None
    unreadable: str | None

    @property
    def type(self) -> str:
        """What it says that it is."""
        return self.message.attributes.get("type", "")

    @classmethod
    def of(cls, message: Message) -> "_Incoming":
        event, unreadable = None, None
        if not all(map(str.isprintable, (*message.attributes, *message.attributes.values()))):
            attributes = {storable(name): storable(value) for name, value in message.attributes.items()}
            message = replace(message, attributes=attributes)
        if len(message.body) > BODY_MOST:  # what is kept of it must not be what no store takes in time
            unreadable = f"{len(message.body):,} bytes are more than {BODY_MOST:,}; the beginning is kept"
            message = replace(message, body=message.body[:BODY_MOST])
        else:
            try:
                event = read_event(message)
            except Unreadable as error:
                unreadable = reason(error)
        id_ = message.attributes.get("id") or _fingerprint(message)
        subject = None if message.subject is None else _name(message.subject)
        return cls(message, _name(message.attributes.get("source", "")), _name(id_), subject, event, unreadable)


def _name(given: str) -> str:
    return given if len(given) <= NAME_MOST else f"sha256:{hashlib.sha256(given.encode()).hexdigest()}"


def _fingerprint(message: Message) -> str:
    """What a message without an id is known by."""
    said = repr((message.topic, sorted(message.attributes.items()), message.body))
    return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"


class Reactions:
    """Whether what was received gets on: no partition pauses, and no reaction hangs, which is told before it failed."""

    name = "reactions"

    def __init__(self, clock: Clock) -> None:
        self.paused: dict[tuple[str, int], Trouble] = {}  # partitions whose messages cannot be handled now
        self.in_hand = InHand(clock, "the reaction to message {}")

    @property
    def trouble(self) -> Trouble | None:
        """What does not get on; None: all of it does, or there is nothing."""
        return next(iter(self.paused.values()), None) or self.in_hand.trouble


class Receive:
    """One consumer of a group.

    Different subjects are handled at once, one subject serially. What fails is kept by us with its story and blocks
    only what comes later of its subject; what is merely unavailable costs no attempt: the partition pauses, and the
    backlog stays in the broker.
    """

    name = "consumer"

    def __init__(
        self,
        recording: Recording,
        broker: EventBroker,
        clock: Clock,
        ids: Ids,
        reactions: Mapping[type[Event], Reaction],
        *,
        topics: Sequence[str],
        group: str,
        attempts: Attempts,
        pace: Pace | None = None,
    ) -> None:
        self._pace = pace or Pace(clock)
        self._recording = recording
        self._counts = recording.counts
        self._persistence = recording.persistence
        self._broker = broker
        self._clock = clock
        self._ids = ids
        self._reactions = reactions
        self._topics = topics
        self._group = group
        self._attempts = attempts
        self._noted: defaultdict[tuple[str, int], set[str]] = defaultdict(set)  # what we took in hand, by partition
        self._suspects: defaultdict[tuple[str, int], set[str]] = defaultdict(set)  # what another had when it ended
        self._failure: Trouble | None = None
        self._failed_at = float("-inf")
        self._surveyed: set[tuple[str, int]] = set()  # partitions whose batch in hand was looked up before
        self._told = ToldOnce(log, "the consumer receives again", now=clock.monotonic)
        self._told_of_partitions = ToldOnce(log, "no partition pauses any more", now=clock.monotonic)
        self._subscription: Subscription | None = None
        self.reactions = Reactions(clock)
        self._bound = Bound(REACTION_SECONDS)

    @property
    def trouble(self) -> Trouble | None:
        """Why nothing was received a moment ago, or can be now; None: all is well, or there is nothing."""
        if self._clock.monotonic() - self._failed_at < TROUBLE_SECONDS:
            return self._failure
        return None if self._subscription is None else self._subscription.trouble

    def _note(self, failure: Trouble) -> None:
        self._failure, self._failed_at = failure, self._clock.monotonic()

    async def run(self) -> None:
        """Receive until cancelled; what is in hand then is finished first or comes again."""
        outage = Outage()
        while True:
            try:
                await self._receive(outage)
            except Unavailable as error:
                self._note(error.trouble)
                delay = outage.next_delay(error.retry_after)
                self._told.trouble("the consumer waits: %s", error, why=error)
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_told_to_end():
                    raise
                self._note(Trouble(Cause.FAILED, f"{type(error).__name__}: see the log"))
                delay = outage.next_delay()
                self._told.trouble("the consumer failed and is tried again", why=error, level=logging.ERROR)
            await self._clock.sleep(delay)

    async def _receive(self, outage: Outage) -> Never:
        """Receive as one member of the group."""
        subscription = self._subscription = self._broker.subscribe(self._topics, self._group)
        in_hand: set[asyncio.Task[None]] = set()
        checked: set[tuple[str, int]] = set()
        try:
            while True:
                batches = await subscription.receive(limit=self._pace.at_most(BATCH_MOST, pressed=BATCH_PRESSED))
                if not batches:  # a subscription that was closed under us; nothing may spin here
                    raise Unavailable("the subscription has ended")
                began = self._clock.monotonic()
                for batch in batches:
                    task = asyncio.create_task(self._see_to(batch, subscription.acknowledge, checked))
                    in_hand.add(task)
                    task.add_done_callback(in_hand.discard)
                outage.over()
                self._told.over()
                if self._pace.is_pressed:
                    await asyncio.wait(in_hand, timeout=REST_MOST)  # how long it takes says how long to rest
                    await self._pace.rest(self._clock.monotonic() - began)
        finally:
            for task in in_hand:
                task.cancel()
            await asyncio.gather(*in_hand, return_exceptions=True)
            self._subscription = None
            self.reactions.paused.clear()
            self._surveyed.clear()
            await self._give_back()
            try:
                await subscription.close()
            except Exception:
                log.exception("the consumer could not leave its group")

    async def _give_back(self) -> None:
        """Nothing is in hand any more: whoever is given it next need not suspect it."""
        noted = [TakeInHand(self._group, *partition, ()) for partition, ids in self._noted.items() if ids]
        try:
            if noted:
                await self._persistence.commit(noted, traffic=Traffic.CONSUMER)
        except PortError as error:
            log.warning("what was in hand could not be given back: %s", error)
        else:
            self._noted.clear()

    async def _see_to(
        self,
        batch: Batch,
        acknowledge: Callable[[Sequence[Batch]], Awaitable[None]],
        checked: set[tuple[str, int]],
    ) -> None:
        """Handle a batch however long it takes, then acknowledge it."""
        outage = Outage()
        partition = (batch.topic, batch.partition)
        while True:
            try:
                await self.handle(batch, first=partition not in checked)
                checked.add(partition)
                reached(CrashPoint.CONSUMER_BEFORE_ACKNOWLEDGE)
            except (Unavailable, Unknown) as error:
                for message in batch.messages:
                    self._counts.counted(Step.POSTPONED, Lane.RECEIVED, batch.topic, message.attributes.get("type", ""))
                delay = outage.next_delay(getattr(error, "retry_after", None))
                self._pauses(batch, error)
                await self._clock.sleep(delay)
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_told_to_end():
                    raise
                delay = outage.next_delay()
                self._pauses(batch, error, level=logging.ERROR)
                await self._clock.sleep(delay)
            else:
                break
        while True:  # handling it again would only find that it was handled
            try:
                await acknowledge([batch])
            except Unavailable as error:
                delay = outage.next_delay(error.retry_after)
                self._pauses(batch, error)
                await self._clock.sleep(delay)
            else:
                self._told_of_partitions.over(partition)
                self.reactions.paused.pop(partition, None)
                return

    def _pauses(self, batch: Batch, error: BaseException, *, level: int = logging.WARNING) -> None:
        told, partition = self._told_of_partitions, (batch.topic, batch.partition)
        failed = Trouble(Cause.FAILED, f"{type(error).__name__}: see the log")
        self.reactions.paused[partition] = error.trouble if isinstance(error, PortError) else failed
        told.trouble(
            "partition %d of %s pauses: %s", batch.partition, batch.topic, error, why=error, key=partition, level=level
        )

    async def handle(self, batch: Batch, *, first: bool) -> None:
        """Handle one batch; after it returns, each message was handled, kept by us, or passed over.

        ``first`` says that the partition is new to this member: what a process had in hand when it died runs alone,
        with the attempt counted before. Raises `Unavailable` or `Unknown` when something could not be done now: calling
        again with the same batch goes on where it stood.
        """
        received = [_Incoming.of(message) for message in batch.messages]
        incoming = [one for one in received if one.unreadable is not None or type(one.event) in self._reactions]
        if incoming:
            await self._handle(batch, incoming, first=first)
        self._surveyed.discard((batch.topic, batch.partition))
        for one in received:  # not before, or it would be counted with each new try
            self._count(Step.RECEIVED, one)
            if one.event is None and one.unreadable is None:
                self._count(Step.PASSED_OVER, one)

    def _count(self, step: Step, one: _Incoming) -> None:
        self._counts.counted(step, Lane.RECEIVED, one.message.topic, one.type)

    async def _handle(self, batch: Batch, incoming: Sequence[_Incoming], *, first: bool) -> None:
        partition = (batch.topic, batch.partition)
        noted, suspects = self._noted[partition], self._suspects[partition]
        names = {one.id for one in incoming}
        if first:
            had = await self._persistence.ledger.in_hand(self._group, *partition)
            # What we noted ourselves is no sign that a process has ended: we are here, and only had to stop.
            suspects |= names.intersection(had) - noted
        noted |= names  # before the commit, whose answer may be lost
        noting = TakeInHand(self._group, *partition, sorted(names))
        surveying = asyncio.ensure_future(self._survey(batch.topic, incoming))
        await together((surveying, self._persistence.commit([noting], traffic=Traffic.BOOKKEEPING)))
        noted &= names
        survey = surveying.result()
        again = partition in self._surveyed
        self._surveyed.add(partition)
        fresh = await self._drop_seen(incoming, survey, again=again)
        lanes: defaultdict[str, list[_Incoming]] = defaultdict(list)
        for one in fresh:
            lanes[one.subject or f"\0{one.source}\0{one.id}"].append(one)
        await together(self._handle_lane(lane, survey, suspects) for lane in lanes.values())
        suspects.clear()

    async def _survey(self, topic: str, incoming: Sequence[_Incoming]) -> Survey:
        return await self._persistence.ledger.survey(
            self._group, topic, [(one.subject, one.source, one.id) for one in incoming]
        )

    async def _drop_seen(
        self, incoming: Sequence[_Incoming], survey: Survey, *, again: bool = False
    ) -> list[_Incoming]:
        """What is to be handled; ``again`` after a try whose own effects were seen, which the broker did not repeat."""
        fresh: dict[tuple[str, str], _Incoming] = {}
        seen: list[_Incoming] = []
        for one in incoming:
            key = (one.source, one.id)
            if key in survey.seen:
                seen.append(one)
            elif fresh.setdefault(key, one) is one:
                continue
            if not again:
                self._count(Step.REPEATED, one)
        done: list[Write] = [write for one in seen for write in _off_the_outbox(one)]
        if done:
            await self._persistence.commit(list(dict.fromkeys(done)), traffic=Traffic.CONSUMER)
        return list(fresh.values())

    async def _handle_lane(self, lane: Sequence[_Incoming], survey: Survey, suspects: Collection[str]) -> None:
        state = survey.lanes.get(lane[0].subject or "", LaneState())
        for one in lane:
            with Handling(Handled(one.id, one.subject, one.message.topic, trace_of(one.message.attributes))):
                state = await self._handle_one(one, state, suspect=one.id in suspects)

    async def _handle_one(self, one: _Incoming, state: LaneState, *, suspect: bool) -> LaneState:
        for _ in range(RERUNS_MOST):
            try:
                return await self._decide(one, state, suspect=suspect)
            except Conflict as conflict:
                if conflict.precondition is Precondition.MESSAGE_IS_NEW:
                    await self._drop_seen([one], await self._survey(one.message.topic, [one]))
                survey = await self._survey(one.message.topic, [one])
                state = survey.lanes.get(one.subject or "", LaneState())
                if (one.source, one.id) in survey.seen:
                    return state
        return await self._park(one, state, why="the data that it depends on kept changing", attempts=1)

    async def _decide(self, one: _Incoming, state: LaneState, *, suspect: bool) -> LaneState:
        if state.occupied:
            return await self._park(one, state)
        refused = one.unreadable or self._too_old(one.message)
        if refused or one.event is None:
            return await self._park(one, state, why=refused, dead=True)
        if suspect:
            return await self._park(one, state, why=PROCESS_ENDED, attempts=1)
        work = self._recording(Traffic.CONSUMER)
        reached(CrashPoint.CONSUMER_BEFORE_EFFECT)
        try:
            with self.reactions.in_hand.working(one.id):
                await self._bound.run(self._reactions[type(one.event)](one.event, work))
            work.writes += self._taken_charge_of(one, state)
            await work.commit()
        except (Unavailable, Unknown, Conflict):
            raise
        except Rejected as error:
            return await self._park(one, state, why=reason(error), dead=True)
        except Exception as error:  # whatever it is, the message is kept and tells of it
            return await self._park(one, state, why=reason(error), attempts=1, failure=error)
        reached(CrashPoint.CONSUMER_AFTER_EFFECT)
        took = (self._clock.now() - one.event.occurred_at).total_seconds()
        self._counts.handled(Lane.RECEIVED, one.message.topic, one.type, took)
        log.debug("received message %s is handled", one.id)
        return LaneState(state.version + 1)

    def _too_old(self, message: Message) -> str | None:
        try:
            age = self._clock.now() - from_rfc3339(message.attributes["time"])
        except (KeyError, ValueError, OverflowError):
            return None  # without a time nobody can say that it is old
        return f"older than the {REMEMBERED.days} days that the inbox remembers" if age > REMEMBERED else None

    async def _park(
        self,
        one: _Incoming,
        state: LaneState,
        *,
        why: str | None = None,
        attempts: int = 0,
        dead: bool = False,
        failure: Exception | None = None,
    ) -> LaneState:
        """Keep a message with its story: it failed, cannot be read, or waits behind one that did."""
        counts = await self._persistence.ledger.counts()
        if sum(number for (lane, kind), number in counts.items() if _kept(lane, kind)) >= PARKED_MOST:
            raise Unavailable(f"{PARKED_MOST:,} messages wait already: see the desk", cause=Cause.DESK_FULL)
        now = self._clock.now()
        delivery = Delivery(
            id=str(self._ids.new()),
            lane=Lane.RECEIVED,
            name=one.type,
            topic=one.message.topic,
            subject=one.subject,
            group=self._group,
            attributes=one.message.attributes,
            body=one.message.body,
            recorded_at=now,
            due_at=now,
            story=(Happening(now, "received", f"from {one.message.topic}, source {one.source}, id {one.id}"),),
        )
        dead = dead or (why is not None and attempts >= self._attempts.most)
        if why is not None and dead:
            delivery = delivery.died(why, now, attempts=max(attempts, 1))
        elif why is not None:
            delay = self._attempts.delay_after(attempts)
            delivery = delivery.failed(why, now, attempts=attempts, due_at=now + timedelta(seconds=delay))
        writes = [Record(delivery), *self._taken_charge_of(one, state)]
        await self._persistence.commit(writes, traffic=Traffic.CONSUMER)
        if why is not None and dead:  # not before it is: who is told looks at the desk
            self._counts.count(Step.DEAD, delivery)
            say_dead(log, delivery.name, why, "received message %s is dead: %s", one.id, why, failure=failure)
        elif why is not None:
            self._counts.count(Step.FAILED, delivery)
            log.warning("received message %s failed: %s", one.id, why)
        await self._recording.tell([delivery])
        return LaneState(state.version + 1, occupied=True)

    def _taken_charge_of(self, one: _Incoming, state: LaneState) -> list[Write]:
        now = self._clock.now()
        writes: list[Write] = [Remember(self._group, one.source, one.id, now)]
        if one.subject is not None:
            writes.append(Advance(self._group, one.message.topic, one.subject, state.version, now))
        return writes + _off_the_outbox(one)


def _kept(lane: Lane, state: State) -> bool:
    return lane is Lane.RECEIVED and state is not State.DISCARDED


def _off_the_outbox(one: _Incoming) -> list[Write]:
    """Our own event has reached our own group: the outbox need not keep it.

    Not even when the broker refused it, or so it said: then it is dead, and others wait behind it.
    """
    if one.source != SOURCE:
        return []
    gone: list[Write] = [Remove(one.id, None)]
    if one.message.subject is not None:
        gone.append(Unblock(ordering_key(one.message.topic, one.message.subject)))
    return gone
