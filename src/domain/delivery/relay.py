"""Carries recorded events to the broker and recorded tasks to the queue. It never opens a letter."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from domain.delivery.attempts import Attempts, Outage
from domain.delivery.failures import PROCESS_ENDED, reason, say_dead, together
from domain.delivery.in_hand import InHand
from domain.delivery.pace import Pace
from domain.delivery.queue_watch import QueueWatch
from domain.delivery.shares import LeasedShares
from ports.clock import Clock
from ports.crash_points import CrashPoint, reached
from ports.deliveries import Delivery, Lane, State
from ports.delivery_counts import DeliveryCounts, Step
from ports.errors import Conflict, Rejected, Unavailable
from ports.event_broker import EventBroker, Outcome
from ports.log_context import Handling
from ports.persistence import Block, HoldLease, MarkSent, Persistence, Remove, Replace, Traffic, Write
from ports.task_queue import TaskQueue
from ports.told_once import ToldOnce
from ports.trouble import Trouble

log = logging.getLogger("crossdock.relay")

EVENTS_AT_ONCE = 500
BATCHES_MOST = 20  # one after the other, before leases, topics and what was lost are looked after again
TASKS_AT_ONCE = 200
PRESSED_AT_ONCE = 24  # of either, while many requests wait
HANDED_MOST = 1_000  # tasks that a queue was given and nobody has claimed
UNHANDLED_SECONDS = 60.0  # before an event that our caught-up group has not handled is sent again
DECLARE_SECONDS = 30.0
LOOK_BACK_SECONDS = 15.0
TROUBLE_SECONDS = 20.0  # twice as long as the longest pause before a queue is given again what it did not take


class EventRelay:
    """Publishes recorded events, each subject in order, and forgets them when nothing more depends on them.

    ``kept_types`` are the events that our own group reacts to: they stay, stamped with the broker that took them, until
    they are handled; another broker, or the same one wiped, is given them again.
    """

    def __init__(
        self,
        persistence: Persistence,
        broker: EventBroker,
        shares: LeasedShares,
        clock: Clock,
        *,
        kept_types: Collection[str],
        topics: Sequence[str],
        group: str,
        pace: Pace | None = None,
        counts: DeliveryCounts | None = None,
    ) -> None:
        self._pace = pace or Pace(clock)
        self._counts = counts or DeliveryCounts()
        self._persistence = persistence
        self._broker = broker
        self._shares = shares
        self._clock = clock
        self._kept_types = frozenset(kept_types)
        self._topics = topics
        self._group = group
        self.in_hand = InHand(clock, "a step of the relay of events")
        self.trouble: Trouble | None = None  # its steps fail when it does not get on
        self._identity: str | None = None
        self._declared_at = self._looked_back_at = float("-inf")
        self._told = ToldOnce(log, "the broker takes all events again", now=clock.monotonic)
        self._told_of_counts = ToldOnce(log, "whether our group is caught up is known again", now=clock.monotonic)

    async def step(self) -> bool:
        """Carry one batch; whether any of it was taken. `Unavailable` when the broker or the store is."""
        identity = await self._broker.identity()
        await self._declare(identity)
        held = await self._shares.hold(identity)
        if not held:
            return False
        # From before anything is sent: a lease that is lost meanwhile proves nothing, also when it is ours again.
        proofs = {partition: self._shares.proof(partition) for partition in held}
        await self._look_back(identity)
        return await self._shares.keep_while(self._carry(identity, proofs))

    async def _carry(self, identity: str, proofs: Mapping[int, HoldLease]) -> bool:
        """Publish what is ready, batch by batch; while one is being marked the next is read and published.

        Partitions of which nothing is taken are left out then: however much of theirs is ready, the others go on.
        """
        partitions = set(proofs)
        refusal: Unavailable | None = None
        limit = self._pace.at_most(EVENTS_AT_ONCE, pressed=PRESSED_AT_ONCE)
        marking: asyncio.Task[None] | None = None
        seen: set[str] = set()  # one of a subject a step: what is read on from a position knows nothing before it
        after, busy = 0, False
        try:
            for _ in range(BATCHES_MOST):
                ready = await self._persistence.ledger.ready_events(
                    partitions=sorted(partitions), limit=limit, after=after
                )
                batch = _heads(ready, but_of=seen)
                if not batch:
                    break
                reached(CrashPoint.RELAY_AFTER_CLAIM)
                reached(CrashPoint.RELAY_BEFORE_PUBLISH)
                outcomes = await self._publish(batch)
                reached(CrashPoint.RELAY_BEFORE_MARK)
                if marking is not None:
                    await marking
                    self.in_hand.moved()
                marking = asyncio.create_task(self._mark(batch, outcomes, identity, proofs))
                refusal = _refusal(outcomes) or refusal
                away = _partitions_away(batch, outcomes)
                busy = busy or away != {delivery.partition for delivery in batch}
                partitions -= away
                if not partitions or len(ready) < limit or self._pace.is_pressed:
                    break
                after = ready[-1].position
        finally:
            if marking is not None:
                await marking
        if refusal is None:
            if busy:
                self._told.over()
        elif busy:
            self._told.trouble("%s", refusal, why=refusal)  # what is taken does not wait for what is not
        else:
            raise refusal from refusal.__cause__
        return busy

    async def stop(self) -> None:
        """Let other relays have our share at once."""
        await self._shares.give_back()

    async def _declare(self, identity: str) -> None:
        now = self._clock.monotonic()
        if identity == self._identity and now - self._declared_at < DECLARE_SECONDS:
            return
        await self._broker.declare(self._topics, self._group)
        self._declared_at = now

    async def _look_back(self, identity: str) -> None:
        """Send again what a broker that is gone, or was wiped, had taken."""
        now = self._clock.monotonic()
        if identity == self._identity and now - self._looked_back_at < LOOK_BACK_SECONDS:
            return
        caught_up = identity == self._identity and await self._is_caught_up()
        before = self._clock.now() - timedelta(seconds=UNHANDLED_SECONDS) if caught_up else None
        while lost := await self._persistence.ledger.sent_events(
            to_other_than=identity, before=before, limit=EVENTS_AT_ONCE
        ):
            log.info("%d events that a broker had and did not bring to us are sent again", len(lost))
            try:
                await self._send_again(lost)
            except Conflict:  # one of them was handled meanwhile, or another relay was first
                for delivery in lost:
                    with suppress(Conflict):
                        await self._send_again([delivery])
            self.in_hand.moved()
        self._identity, self._looked_back_at = identity, now

    async def _send_again(self, lost: Sequence[Delivery]) -> None:
        now = self._clock.now()
        writes = [Replace(delivery.ready_again(now), delivery.token) for delivery in lost]
        await self._persistence.commit(writes, traffic=Traffic.BOOKKEEPING)

    async def _is_caught_up(self) -> bool:
        try:
            caught_up = await self._broker.backlog(self._topics, self._group) == 0
        except Unavailable as error:  # a broker may well take messages and not be able to count them
            self._told_of_counts.trouble("whether our group is caught up is not known: %s", error, why=error)
            return False
        self._told_of_counts.over()
        return caught_up

    async def _publish(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        outcomes = await self._broker.publish([delivery.message for delivery in batch])
        reached(CrashPoint.RELAY_AFTER_PUBLISH)
        return await self._judge_alone(batch, outcomes)

    async def _judge_alone(self, batch: Sequence[Delivery], outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """A rejection counts only for a message that was sent alone: in company it may be another's fault."""
        if len(batch) == 1:
            return outcomes
        judged: list[Outcome] = []
        for delivery, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Rejected):
                (outcome,) = await self._broker.publish([delivery.message])  # noqa: PLW2901
            judged.append(outcome)
        return judged

    async def _mark(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        identity: str,
        proofs: Mapping[int, HoldLease],
    ) -> None:
        now = self._clock.now()
        writes: list[Write] = []
        dead: list[Delivery] = []
        for delivery, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:  # the broker has it, however we get on
                self._counts.count(Step.DELIVERED, delivery)
                is_kept = delivery.name in self._kept_types
                writes.append(MarkSent(delivery.id, identity, now) if is_kept else Remove(delivery.id, None))
            elif isinstance(outcome, Rejected):
                dead.append(delivery.died(reason(outcome), now, attempts=delivery.attempts + 1))
                writes.append(Replace(dead[-1], delivery.token))
                if delivery.ordering_key is not None:
                    writes.append(Block(delivery.ordering_key))
            else:
                self._counts.count(Step.POSTPONED, delivery)
        if not writes:
            return
        if log.isEnabledFor(logging.DEBUG):
            for delivery in (delivery for delivery, outcome in zip(batch, outcomes, strict=True) if outcome is None):
                with Handling(delivery.handled):
                    log.debug("event %s %s is published", delivery.name, delivery.id)
        try:
            held = [proofs[partition] for partition in {delivery.partition for delivery in batch}]
            await self._persistence.commit([*held, *writes], traffic=Traffic.BOOKKEEPING)
        except Conflict:
            # Somebody else acts for a partition of ours: the events are sent again, by whoever holds it now.
            self._shares.doubt()
            return
        for delivery in dead:  # not before they are: who is told looks at the desk
            self._counts.count(Step.DEAD, delivery)
            why = delivery.reason or ""
            with Handling(delivery.handled):
                say_dead(log, delivery.name, why, "event %s is dead: %s", delivery.id, why)


class TaskRelay:
    """Hands due tasks to the queue; a claim that ran out is a failed attempt, and the task is due again later.

    Of those that a queue was given, only so many may be unclaimed. They are handed over again when the queue has passed
    them by (what was given to it a minute later is claimed already), or brings nothing at all for a while, which grows:
    sending blindly again would only multiply a backlog. ``shares``: only one relay hands over at a time; without, the
    queue is this process's own.
    """

    def __init__(
        self,
        persistence: Persistence,
        queue: TaskQueue,
        clock: Clock,
        *,
        attempts: Attempts,
        shares: LeasedShares | None = None,
        pace: Pace | None = None,
        counts: DeliveryCounts | None = None,
    ) -> None:
        self._pace = pace or Pace(clock)
        self._counts = counts or DeliveryCounts()
        self._persistence = persistence
        self._queue = queue
        self._clock = clock
        self._attempts = attempts
        self._shares = shares
        self._outage = Outage()
        self.in_hand = InHand(clock, "a step of the relay of tasks")
        self._refusal: tuple[Trouble, float] | None = None  # and when that was
        self._queued = QueueWatch(persistence, clock)
        self._told = ToldOnce(log, "the queue takes all tasks again", now=clock.monotonic)

    @property
    def trouble(self) -> Trouble | None:
        """Why the queue has not taken what it was given a moment ago."""
        if self._refusal is None or self._clock.monotonic() - self._refusal[1] > TROUBLE_SECONDS:
            return None
        return self._refusal[0]

    async def step(self) -> bool:
        """Hand one batch over; whether there was anything. `Unavailable` when the queue or the store is."""
        if self._shares is not None and not await self._shares.hold("tasks"):
            return False
        now = self._clock.now()
        due = await self._due(now)
        if not due:
            return False
        handed = await self._take(due, now)
        outcomes = await self._queue.enqueue(handed)
        reached(CrashPoint.TASK_AFTER_ENQUEUE)
        again = {task.id for task in due if task.is_handed_over}
        accepted = [task for task, outcome in zip(handed, outcomes, strict=True) if outcome is None]
        self._queued.handed([task for task in accepted if task.id not in again], again=bool(again))
        refused = [(task, outcome) for task, outcome in zip(handed, outcomes, strict=True) if outcome is not None]
        later = now + timedelta(seconds=self._pause([outcome for _, outcome in refused], handed=len(handed)))
        for task in accepted:
            self._counts.count(Step.DELIVERED, task)
        await together(self._not_taken(task, outcome, now, later) for task, outcome in refused)
        return True

    def _pause(self, refusals: Sequence[Unavailable | Rejected], *, handed: int) -> float:
        """Seconds before the queue is given again what it could not take now."""
        away = [refusal for refusal in refusals if isinstance(refusal, Unavailable)]
        self._refusal = (away[0].trouble, self._clock.monotonic()) if away and len(refusals) == handed else None
        if not away:
            self._outage.over()
            self._told.over()
            return 0.0
        self._told.trouble("%d of %d tasks not taken and tried again: %s", len(away), handed, away[0], why=away[0])
        return self._outage.next_delay(None)

    async def _not_taken(self, task: Delivery, outcome: Unavailable | Rejected, now: datetime, later: datetime) -> None:
        if isinstance(outcome, Unavailable):
            self._counts.count(Step.POSTPONED, task)
            await self._change(task.ready_again(later))
            return
        why = reason(outcome)
        if await self._change(task.died(why, now, attempts=task.attempts + 1)):
            self._counts.count(Step.DEAD, task)
            with Handling(task.handled):
                say_dead(log, task.name, why, "task %s %s is dead: %s", task.name, task.id, why)

    async def stop(self) -> None:
        """Let another relay hand over at once."""
        if self._shares is not None:
            await self._shares.give_back()

    async def _due(self, now: datetime) -> list[Delivery]:
        """What to hand over: what is new as far as there is room, and what the queue has lost."""
        ledger = self._persistence.ledger
        unclaimed = await ledger.handed_over()
        lost_before = await self._queued.lost_before(unclaimed)
        limit = min(self._queue.room(), self._pace.at_most(TASKS_AT_ONCE, pressed=PRESSED_AT_ONCE))
        if limit <= 0:
            return []  # what it has is enough for now; offering more would only write rows to and fro
        due = await ledger.due(Lane.TASK, now=now, limit=limit, handed_before=lost_before)
        lost = [task for task in due if task.is_handed_over]
        return lost + [task for task in due if not task.is_handed_over][: max(0, HANDED_MOST - unclaimed)]

    async def _take(self, due: Sequence[Delivery], now: datetime) -> list[Delivery]:
        """Note that these are handed over, before they are: what is noted and not handed over counts as lost later."""
        # A claim that no attempt was counted for was born with its task: the process that recorded it never began.
        handed = [task.handed_over(now) for task in due if task.holder is None or task.attempts == 0]
        ran_out = [self._ran_out(task, now) for task in due if task.holder is not None and task.attempts > 0]
        changed = await together(self._change(task) for task in (*handed, *ran_out))
        for task, ours in zip(ran_out, changed[len(handed) :], strict=True):
            if ours:  # else another relay tells of it
                self._tell_of_end(task)
        return [task for task, ours in zip(handed, changed, strict=False) if ours]

    def _ran_out(self, task: Delivery, now: datetime) -> Delivery:
        # Not handed over at once: what was claimed together would be claimed together again, by a task that ends its
        # process and by all those that it took with it.
        attempts = task.attempts
        if attempts >= self._attempts.most:
            return task.died(PROCESS_ENDED, now, attempts=attempts)
        delay = self._attempts.delay_after(attempts)
        return task.failed(PROCESS_ENDED, now, attempts=attempts, due_at=now + timedelta(seconds=delay))

    def _tell_of_end(self, task: Delivery) -> None:
        """Of what ended with the process that had it in hand."""
        is_dead, why = task.state is State.DEAD, PROCESS_ENDED
        self._counts.count(Step.DEAD if is_dead else Step.FAILED, task)
        with Handling(task.handled):
            if is_dead:
                text = "task %s %s is dead, attempts: %d, because: %s"
                say_dead(log, task.name, why, text, task.name, task.id, task.attempts, why)
            else:
                log.warning("task %s %s failed, attempt %d: %s", task.name, task.id, task.attempts, why)

    async def _change(self, task: Delivery) -> bool:
        try:
            await self._persistence.commit([Replace(task, task.token - 1)], traffic=Traffic.BOOKKEEPING)
        except Conflict:
            return False  # a performer or another relay was first
        return True


def _refusal(outcomes: Sequence[Outcome]) -> Unavailable | None:
    """Why not all of a batch was taken, if that was for want of the broker."""
    away = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    if not away:
        return None
    error = Unavailable(f"{len(away)} of {len(outcomes)} events not taken: {away[0]}", retry_after=away[0].retry_after)
    error.__cause__ = away[0]
    return error


def _partitions_away(batch: Sequence[Delivery], outcomes: Sequence[Outcome]) -> set[int]:
    """Those of which nothing was taken for want of the broker."""
    judged = list(zip(batch, outcomes, strict=True))
    taken = {delivery.partition for delivery, outcome in judged if not isinstance(outcome, Unavailable)}
    return {delivery.partition for delivery in batch} - taken


def _heads(ready: Sequence[Delivery], *, but_of: set[str]) -> list[Delivery]:
    """The first of each ordering key: at most one unconfirmed message of a subject is ever in flight.

    None of keys in ``but_of``, to which theirs are added.
    """
    heads: list[Delivery] = []
    for delivery in ready:
        key = delivery.ordering_key
        if key is None:
            heads.append(delivery)
        elif key not in but_of:
            but_of.add(key)
            heads.append(delivery)
    return heads
