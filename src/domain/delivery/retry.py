"""Handles again the received messages that we keep, because they failed or wait behind one that did."""

import logging
from collections.abc import Mapping
from datetime import timedelta

from domain.delivery.attempts import Attempts, Outage
from domain.delivery.bound import Bound
from domain.delivery.failures import PROCESS_ENDED, reason, say_dead, together
from domain.delivery.in_hand import InHand
from domain.delivery.receive import REACTION_SECONDS, RERUNS_MOST, Reaction
from domain.delivery.unit_of_work import Recording
from domain.model.events import Event
from ports.clock import Clock
from ports.crash_points import CrashPoint, reached
from ports.deliveries import Delivery, Lane, State
from ports.delivery_counts import Step
from ports.errors import Conflict, Precondition, Rejected, Unavailable, Unknown
from ports.log_context import Handling
from ports.message import Unreadable, read_event
from ports.persistence import Advance, Block, LaneState, Remove, Replace, Traffic, Write
from ports.told_once import ToldOnce
from ports.trouble import Trouble

log = logging.getLogger("crossdock.consumer")

RETRIES_AT_ONCE = 50
CLAIM = timedelta(seconds=20)  # longer than a reaction may take, with its commit


class Retry:
    """Runs the reactions to what a group keeps, one at a time a subject, in the order of arrival.

    An attempt is counted when it begins, so that a message which kills its process runs out of attempts as well. What
    may have done so runs alone: others that it took with it each time would run out of theirs. What became of an
    attempt is told by who could write it down.
    """

    def __init__(
        self,
        recording: Recording,
        clock: Clock,
        reactions: Mapping[type[Event], Reaction],
        *,
        group: str,
        process: str,
        attempts: Attempts,
    ) -> None:
        self._recording = recording
        self._counts = recording.counts
        self._persistence = recording.persistence
        self._clock = clock
        self._reactions = reactions
        self._group = group
        self._process = process
        self._attempts = attempts
        self._outage = Outage()
        self._told = ToldOnce(log, "received messages that were kept are handled again", now=clock.monotonic)
        self.in_hand = InHand(clock, "a step of the retry of received messages")
        self._reacting = InHand(clock, "the reaction to kept message {}")
        self._bound = Bound(REACTION_SECONDS)

    @property
    def trouble(self) -> Trouble | None:
        """A reaction that hangs, long before it has failed."""
        return self._reacting.trouble

    async def step(self) -> bool:
        """Handle what is due, and one of what has to run alone; whether there was anything."""
        due = await self._persistence.ledger.due(
            Lane.RECEIVED, now=self._clock.now(), limit=RETRIES_AT_ONCE, group=self._group
        )
        ran_out = [kept for kept in due if kept.holder is not None]
        suspects = [kept for kept in due if kept.holder is None and kept.reason == PROCESS_ENDED]
        others = [kept for kept in due if kept.holder is None and kept.reason != PROCESS_ENDED]
        await together((*map(self._note_end, ran_out), *map(self._handle, others)))
        self.in_hand.moved()
        for kept in suspects[:1]:  # not all of them, which may take minutes: what comes due meanwhile does not wait
            await self._handle(kept)
        return bool(due)

    async def _note_end(self, kept: Delivery) -> None:
        with Handling(kept.handled):
            await self._settle(kept, self._verdict(kept, PROCESS_ENDED))

    async def _handle(self, kept: Delivery) -> None:
        with Handling(kept.handled):
            await self._claim_and_handle(kept)

    async def _claim_and_handle(self, kept: Delivery) -> None:
        failure: Exception | None = None
        claimed = kept.claimed(self._process, self._clock.now() + CLAIM)
        try:
            await self._persistence.commit([Replace(claimed, kept.token)], traffic=Traffic.CONSUMER)
        except Conflict:
            return  # another consumer was first
        try:
            for _ in range(RERUNS_MOST):
                if await self._react(claimed):
                    self._outage.over()
                    self._told.over()
                    log.debug("received message %s is handled", kept.id)
                    return
                row = await self._persistence.ledger.get(claimed.id)
                if row is None or row.token != claimed.token:
                    return  # the claim had run out, and another took it over
            verdict = self._verdict(claimed, "the data that it depends on kept changing")
        except (Unavailable, Unknown) as error:
            delay = self._outage.next_delay(getattr(error, "retry_after", None))
            self._told.trouble("received message %s waits, as others do: %s", kept.id, error, why=error)
            verdict = claimed.released(self._clock.now() + timedelta(seconds=delay))
        except Exception as error:
            failure = error
            verdict = self._verdict(claimed, reason(error), for_good=isinstance(error, Rejected | Unreadable))
        await self._settle(claimed, verdict, failure)

    async def _react(self, claimed: Delivery) -> bool:
        """Run the reaction and commit its effect; false when it read stale data."""
        work = self._recording(Traffic.CONSUMER)
        event = self._read_kept(claimed)
        reached(CrashPoint.CONSUMER_BEFORE_EFFECT)
        with self._reacting.working(claimed.id):
            await self._bound.run(self._reactions[type(event)](event, work))
        effect = list(work.writes)
        for _ in range(RERUNS_MOST):
            state = await self._lane_of(claimed)
            work.writes[:] = [*effect, Remove(claimed.id, claimed.token), *self._advance_kept(claimed, state)]
            try:
                await work.commit()
            except Conflict as conflict:
                if conflict.precondition is not Precondition.LANE_IS_CURRENT:
                    return False
                # Another message of its lane has come meanwhile and waits behind it: the effect is as good as before.
            else:
                reached(CrashPoint.CONSUMER_AFTER_EFFECT)
                took = (self._clock.now() - event.occurred_at).total_seconds()
                self._counts.handled(claimed.lane, claimed.topic, claimed.name, took)
                return True
        return False

    def _read_kept(self, kept: Delivery) -> Event:
        event = read_event(kept.message)
        if event is None or type(event) not in self._reactions:
            raise Unreadable("nothing in this version reacts to it")
        return event

    def _verdict(self, kept: Delivery, why: str, *, for_good: bool = False) -> Delivery:
        now = self._clock.now()
        if for_good or kept.attempts >= self._attempts.most:
            return kept.died(why, now, attempts=kept.attempts)
        delay = self._attempts.delay_after(kept.attempts)
        return kept.failed(why, now, attempts=kept.attempts, due_at=now + timedelta(seconds=delay))

    async def _settle(self, since: Delivery, to: Delivery, failure: Exception | None = None) -> None:
        """Note what became of an attempt, as long as it is ours to say, and tell of it."""
        outage, answer_was_lost = Outage(), False
        while True:
            try:
                ours = await self._try_to_settle(since, to)
            except (Unavailable, Unknown) as error:
                answer_was_lost = answer_was_lost or isinstance(error, Unknown)
                if self._clock.now() >= since.due_at:
                    return  # the claim has run out: it is handled again
                await self._clock.sleep(outage.next_delay(getattr(error, "retry_after", None)))
            else:
                if ours is None:
                    continue
                if ours or answer_was_lost:  # rather once too often than that nobody hears of a dead one
                    self._tell(since, to, failure)
                return

    async def _try_to_settle(self, since: Delivery, to: Delivery) -> bool | None:
        """Whether it was ours to say; None when its lane has just moved on, and it is to be tried again."""
        writes: list[Write] = [Replace(to, since.token), *self._advance_kept(since, await self._lane_of(since))]
        if to.state is State.DEAD and to.ordering_key is not None:
            writes.append(Block(to.ordering_key))
        try:
            await self._persistence.commit(writes, traffic=Traffic.CONSUMER)
        except Conflict as conflict:
            return None if conflict.precondition is Precondition.LANE_IS_CURRENT else False
        return True

    def _tell(self, since: Delivery, to: Delivery, failure: Exception | None) -> None:
        if to.attempts < since.attempts:  # it was unavailable, which is told of all that is
            self._counts.count(Step.POSTPONED, to)
        elif to.state is State.DEAD:
            self._counts.count(Step.DEAD, to)
            why, text = to.reason or "", "received message %s is dead, attempts: %d, because: %s"
            bug = None if isinstance(failure, Unreadable) else failure
            say_dead(log, to.name, why, text, to.id, to.attempts, why, failure=bug)
        else:
            self._counts.count(Step.FAILED, to)
            log.warning("received message %s failed, attempt %d: %s", to.id, to.attempts, to.reason)

    async def _lane_of(self, kept: Delivery) -> LaneState:
        if kept.subject is None:
            return LaneState()
        survey = await self._persistence.ledger.survey(self._group, kept.topic, [(kept.subject, "", "")])
        return survey.lanes.get(kept.subject, LaneState())

    def _advance_kept(self, kept: Delivery, state: LaneState) -> list[Write]:
        if kept.subject is None:
            return []
        return [Advance(self._group, kept.topic, kept.subject, state.version, self._clock.now())]
