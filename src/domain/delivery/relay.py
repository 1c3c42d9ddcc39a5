"""Carries recorded events to the broker and recorded tasks to the queue. It never opens a letter."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from domain.delivery.attempts import Attempts, Outage
from domain.delivery.shares import Shares
from ports.clock import Clock
from ports.crash_points import CrashPoint, reached
from ports.deliveries import Delivery, Lane
from ports.errors import Conflict, Rejected, Unavailable
from ports.event_broker import EventBroker, Outcome
from ports.persistence import Block, Persistence, Remove, Replace, Traffic, Write
from ports.task_queue import TaskQueue

log = logging.getLogger("crossdock.relay")

EVENTS_AT_ONCE = 500
TASKS_AT_ONCE = 200
RESEND_SECONDS = 60.0  # before a task that was handed to the queue and not claimed is handed over again
UNHANDLED_SECONDS = 60.0  # before an event that our caught-up group has not handled is sent again
DECLARE_SECONDS = 30.0
LOOK_BACK_SECONDS = 15.0


class EventRelay:
    """Publishes recorded events, each subject in order, and forgets them when nothing more depends on them.

    ``kept_types`` are the events that our own group reacts to: they stay, stamped with the broker that took them, until
    they are handled; another broker, or the same one wiped, is given them again.
    """

    def __init__(
        self,
        persistence: Persistence,
        broker: EventBroker,
        shares: Shares,
        clock: Clock,
        *,
        kept_types: Collection[str],
        topics: Sequence[str],
        group: str,
    ) -> None:
        self._persistence = persistence
        self._broker = broker
        self._shares = shares
        self._clock = clock
        self._kept_types = frozenset(kept_types)
        self._topics = topics
        self._group = group
        self._identity: str | None = None
        self._declared_at = self._looked_back_at = float("-inf")

    async def step(self) -> bool:
        """Carry one batch; whether there was anything. `Unavailable` when the broker or the store is."""
        identity = await self._broker.identity()
        await self._declare(identity)
        held = await self._shares.hold(identity)
        if not held:
            return False
        await self._look_back(identity)
        ready = await self._persistence.ledger.ready_events(partitions=sorted(held), limit=EVENTS_AT_ONCE)
        batch = _heads(ready)
        if not batch:
            return False
        reached(CrashPoint.RELAY_AFTER_CLAIM)
        reached(CrashPoint.RELAY_BEFORE_PUBLISH)
        outcomes = await self._broker.publish([delivery.message for delivery in batch])
        reached(CrashPoint.RELAY_AFTER_PUBLISH)
        outcomes = await self._judge_alone(batch, outcomes)
        reached(CrashPoint.RELAY_BEFORE_MARK)
        await self._mark(batch, outcomes, identity)
        unavailable = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
        if unavailable:
            raise Unavailable(
                f"{len(unavailable)} of {len(batch)} events not taken: {unavailable[0]}"
            ) from unavailable[0]
        return True

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
        caught_up = identity == self._identity and await self._broker.backlog(self._topics, self._group) == 0
        before = self._clock.now() - timedelta(seconds=UNHANDLED_SECONDS) if caught_up else None
        while lost := await self._persistence.ledger.sent_events(
            to_other_than=identity, before=before, limit=EVENTS_AT_ONCE
        ):
            log.info("%d events that a broker had and did not bring to us are sent again", len(lost))
            again = self._clock.now()
            await self._persistence.commit(
                [Replace(delivery.ready_again(again), delivery.token) for delivery in lost], traffic=Traffic.RELAY
            )
        self._identity, self._looked_back_at = identity, now

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

    async def _mark(self, batch: Sequence[Delivery], outcomes: Sequence[Outcome], identity: str) -> None:
        now = self._clock.now()
        writes: list[Write] = []
        for delivery, outcome in zip(batch, outcomes, strict=True):
            if outcome is None and delivery.name in self._kept_types:
                writes.append(Replace(delivery.sent(identity, now), None))
            elif outcome is None:
                writes.append(Remove(delivery.id, None))
            elif isinstance(outcome, Rejected):
                log.error("event %s is dead: %s", delivery.id, outcome)
                writes.append(Replace(delivery.died(str(outcome), now, attempts=delivery.attempts + 1), delivery.token))
                if delivery.ordering_key is not None:
                    writes.append(Block(delivery.ordering_key))
        if not writes:
            return
        proofs = [self._shares.proof(partition) for partition in sorted({delivery.partition for delivery in batch})]
        try:
            await self._persistence.commit([*proofs, *writes], traffic=Traffic.RELAY)
        except Conflict:
            # Somebody else acts for a partition of ours: the events are sent again, by whoever holds it now.
            self._shares.doubt()


class TaskRelay:
    """Hands due tasks to the queue, and those whose claim has run out again."""

    def __init__(self, persistence: Persistence, queue: TaskQueue, clock: Clock, *, attempts: Attempts) -> None:
        self._persistence = persistence
        self._queue = queue
        self._clock = clock
        self._attempts = attempts
        self._outage = Outage()

    async def step(self) -> bool:
        """Hand one batch over; whether there was anything. `Unavailable` when the queue or the store is."""
        now = self._clock.now()
        due = await self._persistence.ledger.due(Lane.TASK, now=now, limit=TASKS_AT_ONCE)
        if not due:
            return False
        handed = await self._take(due, now)
        outcomes = await self._queue.enqueue(handed)
        reached(CrashPoint.TASK_AFTER_ENQUEUE)
        refused = [(task, outcome) for task, outcome in zip(handed, outcomes, strict=True) if outcome is not None]
        if not refused:
            self._outage.over()
            return True
        delay = self._outage.next_delay(None)
        later = self._clock.now() + timedelta(seconds=delay)
        await asyncio.gather(
            *(
                self._change(
                    task.died(str(outcome), now, attempts=task.attempts + 1)
                    if isinstance(outcome, Rejected)
                    else task.due(later)
                )
                for task, outcome in refused
            )
        )
        return True

    async def _take(self, due: Sequence[Delivery], now: datetime) -> list[Delivery]:
        """Note that these are handed over, before they are: what is noted and not handed over comes due again."""
        until = now + timedelta(seconds=RESEND_SECONDS)
        handed: list[Delivery] = []
        worn_out: list[Delivery] = []
        for task in due:
            found = task.claim_ran_out()
            if task.holder is not None and found.attempts >= self._attempts.most:
                why = "each process that worked on it ended before it was done"
                worn_out.append(found.died(why, now, attempts=found.attempts))
            else:
                handed.append(found.handed_over(until))
        changed = await asyncio.gather(*(self._change(task) for task in (*handed, *worn_out)))
        return [task for task, ours in zip(handed, changed, strict=False) if ours]

    async def _change(self, task: Delivery) -> bool:
        try:
            await self._persistence.commit([Replace(task, task.token - 1)], traffic=Traffic.RELAY)
        except Conflict:
            return False  # a performer or another relay was first
        return True


def _heads(ready: Sequence[Delivery]) -> list[Delivery]:
    """The first of each ordering key: at most one unconfirmed message of a subject is ever in flight."""
    heads: dict[str, Delivery] = {}
    for delivery in ready:
        heads.setdefault(delivery.ordering_key or delivery.id, delivery)
    return list(heads.values())
