"""Receives events from the broker and runs reactions, each remembered in the same transaction as its effect."""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.delivery.attempts import Attempts, Outage
from domain.delivery.perform import reason
from domain.delivery.unit_of_work import Recording
from domain.model.events import Event
from domain.model.times import from_rfc3339
from ports.clock import Clock
from ports.crash_points import CrashPoint, reached
from ports.deliveries import Delivery, Happening, Lane, State
from ports.errors import Conflict, Precondition, Rejected, Unavailable, Unknown
from ports.event_broker import Batch, EventBroker
from ports.ids import Ids
from ports.message import SOURCE, Message, Unreadable, read_event
from ports.persistence import (
    Advance,
    LaneState,
    Record,
    Remember,
    Remove,
    Survey,
    TakeInHand,
    Traffic,
    UnitOfWork,
    Write,
)

log = logging.getLogger("crossdock.consumer")

BATCH_MOST = 100  # messages of one partition at once
REMEMBERED = timedelta(days=30)  # how long the inbox knows what it has seen
PARKED_MOST = 10_000  # messages of one group that we keep; beyond, the backlog stays in the broker
RERUNS_MOST = 10  # of a reaction that read stale data

Reaction = Callable[[Any, UnitOfWork], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A received message, read, with the names that the inbox and the lanes know it by."""

    message: Message
    source: str
    id: str
    subject: str | None
    event: Event | None
    unreadable: str | None

    @classmethod
    def of(cls, message: Message) -> "_Incoming":
        event, unreadable = None, None
        try:
            event = read_event(message)
        except Unreadable as error:
            unreadable = str(error)
        id_ = message.attributes.get("id") or f"sha256:{hashlib.sha256(message.body).hexdigest()}"
        return cls(message, message.attributes.get("source", ""), id_[:200], message.subject, event, unreadable)


class Receive:
    """One consumer of a group.

    Different subjects are handled at once, one subject serially. What fails is kept by us with its story and blocks
    only what comes later of its subject; what is merely unavailable costs no attempt: the partition pauses, and the
    backlog stays in the broker.
    """

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
    ) -> None:
        self._recording = recording
        self._persistence = recording.persistence
        self._broker = broker
        self._clock = clock
        self._ids = ids
        self._reactions = reactions
        self._topics = topics
        self._group = group
        self._attempts = attempts
        self.passed_over = 0  # messages of types that are not ours

    async def run(self) -> None:
        """Receive until cancelled; what is in hand then is finished first or comes again."""
        outage = Outage()
        while True:
            subscription = self._broker.subscribe(self._topics, self._group)
            in_hand: set[asyncio.Task[None]] = set()
            checked: set[tuple[str, int]] = set()
            try:
                while True:
                    for batch in await subscription.receive(limit=BATCH_MOST):
                        task = asyncio.create_task(self._see_to(batch, subscription.acknowledge, checked))
                        in_hand.add(task)
                        task.add_done_callback(in_hand.discard)
                    outage.over()
            except Unavailable as error:
                delay = outage.next_delay(error.retry_after)
                log.warning("the consumer waits %.1f s: %s", delay, error)
                await self._clock.sleep(delay)
            except Exception:
                delay = outage.next_delay()
                log.exception("the consumer failed and goes on in %.1f s", delay)
                await self._clock.sleep(delay)
            finally:
                for task in in_hand:
                    task.cancel()
                await asyncio.gather(*in_hand, return_exceptions=True)
                await subscription.close()

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
                await acknowledge([batch])
            except (Unavailable, Unknown) as error:
                delay = outage.next_delay(getattr(error, "retry_after", None))
                log.warning("partition %d of %s pauses %.1f s: %s", batch.partition, batch.topic, delay, error)
                await self._clock.sleep(delay)
            except Exception:
                delay = outage.next_delay()
                log.exception("partition %d of %s goes on in %.1f s", batch.partition, batch.topic, delay)
                await self._clock.sleep(delay)
            else:
                return

    async def handle(self, batch: Batch, *, first: bool) -> None:
        """Handle one batch; after it returns, each message was handled, kept by us, or passed over.

        ``first`` says that the partition is new to this member: what a process had in hand when it died runs alone,
        with the attempt counted before. Raises `Unavailable` or `Unknown` when something could not be done now: calling
        again with the same batch goes on where it stood.
        """
        incoming = [one for one in map(_Incoming.of, batch.messages) if self._concerns_us(one)]
        if not incoming:
            return
        survey = await self._survey(batch.topic, incoming)
        fresh = await self._drop_seen(incoming, survey)
        suspects: frozenset[str] = frozenset()
        if first:
            had = await self._persistence.ledger.in_hand(self._group, batch.topic, batch.partition)
            suspects = frozenset(had).intersection(one.id for one in fresh)
        await self._persistence.commit(
            [TakeInHand(self._group, batch.topic, batch.partition, [one.id for one in fresh])],
            traffic=Traffic.CONSUMER,
        )
        lanes: defaultdict[str, list[_Incoming]] = defaultdict(list)
        for one in fresh:
            lanes[one.subject or f"\0{one.source}\0{one.id}"].append(one)
        results = await asyncio.gather(
            *(self._handle_lane(lane, survey, suspects) for lane in lanes.values()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _concerns_us(self, one: _Incoming) -> bool:
        if one.unreadable is not None or type(one.event) in self._reactions:
            return True
        self.passed_over += one.event is None
        return False

    async def _survey(self, topic: str, incoming: Sequence[_Incoming]) -> Survey:
        return await self._persistence.ledger.survey(
            self._group, topic, [(one.subject, one.source, one.id) for one in incoming]
        )

    async def _drop_seen(self, incoming: Sequence[_Incoming], survey: Survey) -> list[_Incoming]:
        fresh: dict[tuple[str, str], _Incoming] = {}
        seen: list[_Incoming] = []
        for one in incoming:
            key = (one.source, one.id)
            if key in survey.seen:
                seen.append(one)
            else:
                fresh.setdefault(key, one)
        done: list[Write] = [write for one in seen for write in _off_the_outbox(one)]
        if done:
            await self._persistence.commit(list(dict.fromkeys(done)), traffic=Traffic.CONSUMER)
        return list(fresh.values())

    async def _handle_lane(self, lane: Sequence[_Incoming], survey: Survey, suspects: Collection[str]) -> None:
        state = survey.lanes.get(lane[0].subject or "", LaneState())
        for one in lane:
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
            return await self._park(one, state, why="the process that had it in hand ended", attempts=1)
        work = self._recording(Traffic.CONSUMER)
        reached(CrashPoint.CONSUMER_BEFORE_EFFECT)
        try:
            await self._reactions[type(one.event)](one.event, work)
        except (Unavailable, Unknown, Conflict):
            raise
        except Rejected as error:
            return await self._park(one, state, why=reason(error), dead=True)
        except Exception as error:  # whatever it is, the message is kept and tells of it
            return await self._park(one, state, why=reason(error), attempts=1)
        work.writes += [self._remember(one), *self._advance(one, state), *_off_the_outbox(one)]
        await work.commit()
        reached(CrashPoint.CONSUMER_AFTER_EFFECT)
        return LaneState(state.version + 1)

    def _too_old(self, message: Message) -> str | None:
        try:
            age = self._clock.now() - from_rfc3339(message.attributes["time"])
        except (KeyError, ValueError):
            return None  # without a time nobody can say that it is old
        return f"older than the {REMEMBERED.days} days that the inbox remembers" if age > REMEMBERED else None

    async def _park(
        self, one: _Incoming, state: LaneState, *, why: str | None = None, attempts: int = 0, dead: bool = False
    ) -> LaneState:
        """Keep a message with its story: it failed, cannot be read, or waits behind one that did."""
        counts = await self._persistence.ledger.counts()
        if sum(number for (lane, kind), number in counts.items() if _kept(lane, kind)) >= PARKED_MOST:
            raise Unavailable(f"{PARKED_MOST:,} messages wait already: see the desk")
        now = self._clock.now()
        delivery = Delivery(
            id=str(self._ids.new()),
            lane=Lane.RECEIVED,
            name=one.message.attributes.get("type", ""),
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
            log.error("received message %s is dead: %s", one.id, why)
            delivery = delivery.died(why, now, attempts=max(attempts, 1))
        elif why is not None:
            log.warning("received message %s failed: %s", one.id, why)
            delay = self._attempts.delay_after(attempts)
            delivery = delivery.failed(why, now, attempts=attempts, due_at=now + timedelta(seconds=delay))
        writes: list[Write] = [self._remember(one), *self._advance(one, state), Record(delivery)]
        writes += _off_the_outbox(one)
        await self._persistence.commit(writes, traffic=Traffic.CONSUMER)
        await self._recording.tell([delivery])
        return LaneState(state.version + 1, occupied=True)

    def _remember(self, one: _Incoming) -> Remember:
        return Remember(self._group, one.source, one.id, self._clock.now())

    def _advance(self, one: _Incoming, state: LaneState) -> list[Write]:
        if one.subject is None:
            return []
        return [Advance(self._group, one.message.topic, one.subject, state.version, self._clock.now())]


def _kept(lane: Lane, state: State) -> bool:
    return lane is Lane.RECEIVED and state is not State.DISCARDED


def _off_the_outbox(one: _Incoming) -> list[Write]:
    """Our own event has reached our own group: the outbox need not keep it."""
    return [Remove(one.id, None)] if one.source == SOURCE else []
