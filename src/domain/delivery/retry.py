"""Handles again the received messages that we keep, because they failed or wait behind one that did."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

from domain.delivery.attempts import Attempts, Outage
from domain.delivery.perform import reason
from domain.delivery.receive import Reaction
from domain.delivery.unit_of_work import Recording
from domain.model.events import Event
from ports.clock import Clock
from ports.crash_points import CrashPoint, reached
from ports.deliveries import Delivery, Lane, State
from ports.errors import Conflict, Precondition, Rejected, Unavailable, Unknown
from ports.message import Unreadable, read_event
from ports.persistence import Advance, Block, LaneState, Remove, Replace, Traffic, Write

log = logging.getLogger("crossdock.consumer")

RETRIES_AT_ONCE = 50
CLAIM = timedelta(seconds=60)


class Retry:
    """Runs the reactions to what a group keeps, one at a time a subject, in the order of arrival.

    An attempt is counted when it begins, so that a message which kills its process runs out of attempts as well.
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
        self._persistence = recording.persistence
        self._clock = clock
        self._reactions = reactions
        self._group = group
        self._process = process
        self._attempts = attempts
        self._outage = Outage()

    async def step(self) -> bool:
        """Handle what is due; whether there was anything."""
        due = await self._persistence.ledger.due(
            Lane.RECEIVED, now=self._clock.now(), limit=RETRIES_AT_ONCE, group=self._group
        )
        await asyncio.gather(*(self._handle(delivery) for delivery in due))
        return bool(due)

    async def _handle(self, kept: Delivery) -> None:
        now = self._clock.now()
        state = await self._lane_of(kept)
        if kept.holder is not None and kept.attempts >= self._attempts.most:
            await self._settle(
                kept, kept.died("each process that handled it ended", now, attempts=kept.attempts), state
            )
            return
        claimed = kept.claimed(self._process, now + CLAIM)
        try:
            await self._persistence.commit([Replace(claimed, kept.token)], traffic=Traffic.CONSUMER)
        except Conflict:
            return  # another consumer was first
        work = self._recording(Traffic.CONSUMER)
        try:
            event = self._read_kept(claimed)
            reached(CrashPoint.CONSUMER_BEFORE_EFFECT)
            await self._reactions[type(event)](event, work)
            work.writes += [Remove(claimed.id, claimed.token), *self._advance_kept(claimed, state)]
            await work.commit()
            reached(CrashPoint.CONSUMER_AFTER_EFFECT)
        except (Unavailable, Unknown, Conflict) as error:
            delay = (
                0.0 if isinstance(error, Conflict) else Outage().next_delay(getattr(error, "retry_after", None)) * 10
            )
            await self._settle(claimed, claimed.released(self._clock.now() + timedelta(seconds=delay)), state)
        except Exception as error:
            await self._settle(claimed, self._verdict(claimed, error), state)

    def _read_kept(self, kept: Delivery) -> Event:
        event = read_event(kept.message)
        if event is None or type(event) not in self._reactions:
            raise Unreadable("nothing in this version reacts to it")
        return event

    def _verdict(self, kept: Delivery, failure: Exception) -> Delivery:
        now, why = self._clock.now(), reason(failure)
        if isinstance(failure, Rejected | Unreadable) or kept.attempts >= self._attempts.most:
            log.error("received message %s is dead after %d attempts: %s", kept.id, kept.attempts, why)
            return kept.died(why, now, attempts=kept.attempts)
        log.warning("received message %s failed, attempt %d: %s", kept.id, kept.attempts, why)
        delay = self._attempts.delay_after(kept.attempts)
        return kept.failed(why, now, attempts=kept.attempts, due_at=now + timedelta(seconds=delay))

    async def _settle(self, since: Delivery, to: Delivery, state: LaneState) -> None:
        """Note what became of an attempt, as long as it is ours to say."""
        while True:
            writes: list[Write] = [Replace(to, since.token), *self._advance_kept(since, state)]
            if to.state is State.DEAD and to.ordering_key is not None:
                writes.append(Block(to.ordering_key))
            try:
                await self._persistence.commit(writes, traffic=Traffic.CONSUMER)
            except Conflict as conflict:
                if conflict.precondition is not Precondition.LANE_IS_CURRENT:
                    return
                state = await self._lane_of(since)
            except (Unavailable, Unknown):
                return  # the claim runs out and it is handled again
            else:
                return

    async def _lane_of(self, kept: Delivery) -> LaneState:
        if kept.subject is None:
            return LaneState()
        survey = await self._persistence.ledger.survey(self._group, kept.topic, [(kept.subject, "", "")])
        return survey.lanes.get(kept.subject, LaneState())

    def _advance_kept(self, kept: Delivery, state: LaneState) -> list[Write]:
        if kept.subject is None:
            return []
        return [Advance(self._group, kept.topic, kept.subject, state.version, self._clock.now())]
