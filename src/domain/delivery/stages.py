"""What has waited longest at each stage of its way, and whether that moves.

However much waits, it is well as long as the first of it is another one every now and then. An empty stage is always
well, and so is one where all that waits has its time still to come.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from domain.delivery.failures import together
from ports.clock import Clock
from ports.deliveries import Delivery, Lane
from ports.persistence import Persistence
from ports.shared_work import begin_shared
from ports.trouble import Cause, Trouble

BEHIND_SECONDS = 8.0  # longer than a broker needs to give the share of a dead consumer to another
ASK_SECONDS = 1.0
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Stage(StrEnum):
    """Where something waits for somebody to do what comes next."""

    PUBLISHING = "publishing"  # events that no broker has yet
    HANDLING = "handling"  # events that a broker has and our group has not handled
    HANDING_OVER = "handing_over"  # due tasks that no queue was given
    PERFORMING = "performing"  # due tasks that nobody has in hand, though a queue may have been given them
    RETRYING = "retrying"  # received messages whose next attempt is due


_WORDS: Mapping[Stage, str] = {
    Stage.PUBLISHING: "event {} waits to be published",
    Stage.HANDLING: "event {} is at the broker and waits to be handled by our consumers",
    Stage.HANDING_OVER: "task {} waits to be handed to the queue",
    Stage.PERFORMING: "task {} is due and waits for a performer",
    Stage.RETRYING: "received message {} waits for its next attempt",
}


class Stages:
    """Asks the ledger now and then for the first at some stages: one row each, for all who want to know."""

    def __init__(
        self, persistence: Persistence, clock: Clock, stages: Sequence[Stage], *, partitions: int, group: str
    ) -> None:
        self._persistence = persistence
        self._clock = clock
        self._stages = stages
        self._partitions = range(partitions)
        self._group = group
        self._first: dict[Stage, tuple[str, int, float]] = {}  # its id and attempts, and since when it is the first
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def trouble(self, stage: Stage) -> Trouble | None:
        """Why this stage does not move. Raises what the store raises."""
        if self._asking is None and self._clock.monotonic() - self._asked_at >= ASK_SECONDS:
            self._asking = begin_shared(self._ask())
            self._asking.add_done_callback(self._asked)
        if self._asking is not None:
            await asyncio.shield(self._asking)
        if stage not in self._first:
            return None
        id_, _, since = self._first[stage]
        seconds = self._clock.monotonic() - since
        if seconds < BEHIND_SECONDS:
            return None
        return Trouble(Cause.BEHIND, f"{_WORDS[stage].format(id_)}: it has been the first in line for {seconds:.0f} s")

    def _asked(self, _: object) -> None:
        self._asking = None

    async def _ask(self) -> None:
        now = self._asked_at = self._clock.monotonic()
        firsts = await together(self._first_at(stage) for stage in self._stages)
        for stage, first in zip(self._stages, firsts, strict=True):
            if not first:
                self._first.pop(stage, None)
            # An attempt that was made since makes another of it.
            elif self._first.get(stage, ("", 0))[:2] != (first[0].id, first[0].attempts):
                self._first[stage] = (first[0].id, first[0].attempts, now)

    async def _first_at(self, stage: Stage) -> Sequence[Delivery]:
        ledger, now = self._persistence.ledger, self._clock.now()
        match stage:
            case Stage.PUBLISHING:
                return await ledger.ready_events(partitions=self._partitions, limit=1)
            case Stage.HANDLING:
                return await ledger.first_sent()
            case Stage.HANDING_OVER:
                return await ledger.due(Lane.TASK, now=now, limit=1, handed_before=_NEVER)
            case Stage.PERFORMING:
                return await ledger.due(Lane.TASK, now=now, limit=1)
            case Stage.RETRYING:
                return await ledger.due(Lane.RECEIVED, now=now, limit=1, group=self._group)
