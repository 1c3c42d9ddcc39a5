"""Performs tasks. Our row is the truth; whatever brought a task here only carried its id."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from domain.delivery.attempts import Attempts, Outage
from domain.delivery.bound import Bound
from domain.delivery.failures import reason, say_dead, together
from domain.delivery.in_hand import InHand
from domain.delivery.pace import Pace
from domain.delivery.unit_of_work import CLAIM_SECONDS
from domain.model.identity import Identity
from domain.model.tasks import TASK_TYPES, Task
from ports.clock import Clock
from ports.crash_points import CrashPoint, reached
from ports.deliveries import Delivery, Lane, State
from ports.delivery_counts import DeliveryCounts, Step
from ports.errors import Conflict, Rejected, Unavailable, Unknown
from ports.log_context import Handling
from ports.persistence import Persistence, Remove, Replace, Traffic
from ports.told_once import ToldOnce
from ports.trouble import Trouble

log = logging.getLogger("crossdock.tasks")

WORK_SECONDS = 60.0  # a work that hangs counts as failed
RENEW_SECONDS = CLAIM_SECONDS / 3

Work = Callable[[Any], Awaitable[None]]


class Perform:
    """Performs one task: claims its row, does the work, and marks what became of it.

    A claim is a lease with a token: whoever wakes up after it ran out can neither mark nor spoil what another has done
    since. The work itself happens at least once.
    """

    def __init__(
        self,
        persistence: Persistence,
        clock: Clock,
        work: Mapping[type[Task], Work],
        *,
        process: str,
        attempts: Attempts,
        pace: Pace | None = None,
        counts: DeliveryCounts | None = None,
    ) -> None:
        self._pace = pace or Pace(clock)
        self._counts = counts or DeliveryCounts()
        self._persistence = persistence
        self._clock = clock
        self._work = {type_.name: (type_, work[type_]) for type_ in TASK_TYPES if type_ in work}
        self._process = process
        self._attempts = attempts
        self._outage = Outage()  # of what the work needs
        self._told = ToldOnce(log, "tasks are performed again", now=clock.monotonic)
        self._told_of_claims = ToldOnce(log, "tasks are claimed again", now=clock.monotonic)
        self._in_hand: dict[str, Delivery] = {}
        self.working = InHand(clock, "task {}")  # told of long before it has failed
        self._bound = Bound(WORK_SECONDS)

    @property
    def trouble(self) -> Trouble | None:
        """A work that hangs."""
        return self.working.trouble

    async def by_id(self, id: str, token: int) -> None:
        """Perform the task that a queue tells of; one that is done, or was handed to another since, is passed over."""
        task = await self._persistence.ledger.get(id)
        if task is not None and task.token == token and task.lane is Lane.TASK:
            await self(task)

    async def __call__(self, task: Delivery) -> None:
        """Perform it, unless another has it. What the work raises is marked on the row and not raised."""
        await self._pace.rest()
        if task.id in self._in_hand:
            return  # given twice
        with Handling(task.handled):
            await self._perform(task)

    async def _perform(self, task: Delivery) -> None:
        claimed = await self._claim(task)
        if claimed is None:
            return
        self._in_hand[task.id] = claimed
        try:
            reached(CrashPoint.TASK_BEFORE_WORK)
            failure = await self._attempt(claimed)
            reached(CrashPoint.TASK_AFTER_WORK)
            await self._mark(task.id, failure)
        finally:
            self._in_hand.pop(task.id, None)

    async def renew(self) -> bool:
        """Renew the claims of what is in hand; to be called every few seconds."""
        late = self._clock.now() + timedelta(seconds=CLAIM_SECONDS - RENEW_SECONDS)
        await together(self._renew(task) for task in list(self._in_hand.values()) if task.due_at <= late)
        return False

    async def _renew(self, task: Delivery) -> None:
        renewed = task.due(self._clock.now() + timedelta(seconds=CLAIM_SECONDS))
        found: Delivery | None = renewed
        try:
            await self._persistence.commit([Replace(renewed, task.token)], traffic=Traffic.CONSUMER)
        except Conflict:
            found = await self._as_renewed(task)
        if found is not None and task.id in self._in_hand:
            self._in_hand[task.id] = found

    async def _as_renewed(self, task: Delivery) -> Delivery | None:
        """The row, if only we have changed it: renewed a moment ago, or with an answer that was lost."""
        row = await self._persistence.ledger.get(task.id)
        if row is None or row.token == task.token or (row.holder, row.attempts) != (task.holder, task.attempts):
            return None
        return row

    async def _claim(self, task: Delivery) -> Delivery | None:
        now = self._clock.now()
        claimed = task.claimed(self._process, now + timedelta(seconds=CLAIM_SECONDS))
        try:
            await self._persistence.commit([Replace(claimed, task.token)], traffic=Traffic.CONSUMER)
        except Conflict:
            return None  # another performer was first, or the row is done
        except (Unavailable, Unknown) as error:
            text = "task %s %s could not be claimed and comes due again: %s"
            self._told_of_claims.trouble(text, task.name, task.id, error, why=error)
            return None
        self._told_of_claims.over()
        return claimed

    async def _attempt(self, task: Delivery) -> Exception | None:
        try:
            type_, work = self._work[task.name]
            parsed = type_.from_data(json.loads(task.body), id=Identity(task.id))
        except (KeyError, TypeError, ValueError) as error:
            return Rejected(f"not a task that this version performs: {error!r}")
        try:
            with self.working.working(f"{task.name} {task.id}"):
                await self._bound.run(work(parsed))
        except Exception as error:  # whatever it is, the row tells of it
            return error
        return None

    async def _mark(self, id: str, failure: Exception | None) -> None:
        verdict = self._verdict(self._in_hand[id], failure)
        outage, answer_was_lost = Outage(), False
        while True:
            task = self._in_hand[id]
            try:
                ours = await self._write(task, verdict)
            except (Unavailable, Unknown) as error:
                answer_was_lost = answer_was_lost or isinstance(error, Unknown)
                if self._clock.now() >= self._in_hand[id].due_at:
                    return  # the claim has run out: whoever takes it over marks it
                await self._clock.sleep(outage.next_delay(getattr(error, "retry_after", None)))
            else:
                if ours or answer_was_lost:  # rather once too often than that nobody hears of a dead one
                    self._tell(task, verdict, failure)
                else:
                    log.warning("task %s was taken over before it was marked", id)
                return

    def _tell(self, task: Delivery, verdict: Delivery | None, failure: Exception | None) -> None:
        if verdict is None:
            took = (self._clock.now() - task.recorded_at).total_seconds()
            self._counts.handled(task.lane, task.topic, task.name, took)
            log.debug("task %s %s is done", task.name, task.id)
        elif verdict.state is State.DEAD:
            self._counts.count(Step.DEAD, task)
            why, text = verdict.reason or "", "task %s %s is dead, attempts: %d, because: %s"
            say_dead(log, task.name, why, text, task.name, task.id, verdict.attempts, why, failure=failure)
        elif isinstance(failure, Unavailable):
            self._counts.count(Step.POSTPONED, task)
        else:
            self._counts.count(Step.FAILED, task)
            log.warning("task %s %s failed, attempt %d: %s", task.name, task.id, verdict.attempts, verdict.reason)

    async def _write(self, task: Delivery, verdict: Delivery | None) -> bool:
        """Mark the row; false when it is not ours to mark any more."""
        ours: Delivery | None = task
        while ours is not None:
            token = ours.token
            write = Remove(ours.id, token) if verdict is None else Replace(replace(verdict, token=token + 1), token)
            try:
                await self._persistence.commit([write], traffic=Traffic.CONSUMER)
            except Conflict:
                ours = await self._as_renewed(ours)
            else:
                return True
        return False

    def _verdict(self, task: Delivery, failure: Exception | None) -> Delivery | None:
        """What the row is to become; None: nothing, the task is done."""
        if not isinstance(failure, Unavailable):
            self._outage.over()
            self._told.over(task.name)
        if failure is None:
            return None
        now = self._clock.now()
        if isinstance(failure, Unavailable):
            delay = self._outage.next_delay(failure.retry_after)
            text = "task %s %s waits, as others do: %s"
            self._told.trouble(text, task.name, task.id, reason(failure), why=failure, key=task.name)
            return task.released(now + timedelta(seconds=delay))
        attempts = max(task.attempts, 1)
        why = reason(failure)
        if isinstance(failure, Rejected) or attempts >= self._attempts.most:
            return task.died(why, now, attempts=attempts)
        delay = self._attempts.delay_after(attempts)
        return task.failed(why, now, attempts=attempts, due_at=now + timedelta(seconds=delay))
