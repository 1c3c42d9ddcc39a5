"""How much moves from a request to its effect: looked at while somebody wants to see it, over all processes at once."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from entrypoints.backlog import Backlog
from ports.clock import Clock
from ports.deliveries import Lane, State
from ports.errors import Unavailable
from ports.persistence import Flow, Ledger

EVERY_SECONDS = 2.0  # the least between two looks, however many want to see
KEPT_MOST = 60  # of the looks: two minutes of them
HANDLED_SECONDS = 10  # over which messages that were handled are counted
COMPARED_SECONDS = 30.0  # a look longer ago says nothing about how fast it goes now


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment; rates are for each second, None where there is nothing yet to compare with.

    ``waits`` is for how many seconds the first of those that are ready or sent has waited. ``backlog`` is what the
    broker has for our group, None when it does not say.
    """

    at: datetime
    counts: Mapping[tuple[Lane, State], int]
    waits: Mapping[tuple[Lane, State], float]
    recorded_rate: float | None
    handled_rate: float
    done_rate: float | None
    backlog: int | None


class FlowWatch:
    """Looks at most every two seconds, and remembers what it saw of the last minutes."""

    def __init__(self, ledger: Ledger, backlog: Backlog, clock: Clock) -> None:
        self._ledger = ledger
        self._backlog = backlog
        self._clock = clock
        self._looked: deque[tuple[float, Flow, Look]] = deque(maxlen=KEPT_MOST)
        self._looking = asyncio.Lock()

    @property
    def history(self) -> Sequence[Look]:
        """What was seen, oldest first."""
        return [look for _, _, look in self._looked]

    async def look(self) -> Look:
        """What is to be seen now, or was a moment ago; `Unavailable` when the store is."""
        async with self._looking:
            began = self._clock.monotonic()
            if self._looked and began - self._looked[-1][0] < EVERY_SECONDS:
                return self._looked[-1][2]
            since = self._clock.now() - timedelta(seconds=HANDLED_SECONDS)
            waiting, flow = await asyncio.gather(self._backlog.waiting(), self._ledger.flow(handled_since=since))
            if waiting.counts is None:
                raise Unavailable("what waits is not known now")
            recorded_rate, done_rate = self._rates(began, waiting.counts, flow)
            look = Look(
                at=self._clock.now(),
                counts=waiting.counts,
                waits=self._waits(waiting.counts, waiting.overdue or {}, flow),
                recorded_rate=recorded_rate,
                handled_rate=flow.handled / HANDLED_SECONDS,
                done_rate=done_rate,
                backlog=None if waiting.lag is None else sum(waiting.lag.values()),
            )
            self._looked.append((began, flow, look))
            return look

    def _rates(
        self, began: float, counts: Mapping[tuple[Lane, State], int], flow: Flow
    ) -> tuple[float | None, float | None]:
        """How many were recorded and done since the look before."""
        if not self._looked or began - self._looked[-1][0] > COMPARED_SECONDS:
            return None, None
        before, flow_before, look_before = self._looked[-1]
        seconds = began - before
        new = flow.recorded - flow_before.recorded
        done = new - _left(counts) + _left(look_before.counts)
        return max(0, new) / seconds, max(0, done) / seconds

    def _waits(
        self, counts: Mapping[tuple[Lane, State], int], overdue: Mapping[Lane, float], flow: Flow
    ) -> Mapping[tuple[Lane, State], float]:
        waits = {(lane, State.READY): seconds for lane, seconds in overdue.items() if counts.get((lane, State.READY))}
        if flow.sent_since is not None:
            waits[Lane.EVENT, State.SENT] = max(0.0, (self._clock.now() - flow.sent_since).total_seconds())
        return waits


def _left(counts: Mapping[tuple[Lane, State], int]) -> int:
    """What is still to be done."""
    return sum(number for (_, state), number in counts.items() if state is not State.DISCARDED)
