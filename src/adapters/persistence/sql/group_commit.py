"""Units of work that wait at the same moment are committed together."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ports.errors import PortError, Unavailable, Unknown
from ports.persistence import Write
from ports.shared_work import begin_shared
from ports.trouble import Trouble

log = logging.getLogger("crossdock.persistence")

# Turns of the loop without a newcomer: a request that has just arrived needs about two to come this far.
QUIET_TURNS = 2
TROUBLE_SECONDS = 15.0  # so long a failure is told when nothing was written since

# Commits a group in one transaction and says of each unit what became of it; also given are the moments, on the clock
# of the loop, at which their callers stop waiting.
Commit = Callable[[Sequence[Sequence[Write]], Sequence[float]], Awaitable[Sequence[Exception | None]]]


@dataclass(slots=True, eq=False)
class _Unit:
    writes: Sequence[Write]
    deadline: float
    outcome: "asyncio.Future[None]"


class GroupCommit:
    """One queue of units of work before a writer.

    While one group is being written the next gathers, so a busy store commits many units for the price of one and an
    idle one makes nobody wait. A unit whose caller has gone is still committed; one whose deadline has passed before
    its turn is dropped.
    """

    def __init__(self, commit: Commit, *, most_units: int, most_waiting: int = 10_000) -> None:
        self._commit = commit
        self._most_units = most_units
        self._most_waiting = most_waiting
        self._waiting: deque[_Unit] = deque()
        self._group: Sequence[_Unit] = ()
        self._writing: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None  # runs while a group is being written
        self._closed = False
        self._failure: tuple[Trouble, float] | None = None  # and when that was

    @property
    def trouble(self) -> Trouble | None:
        """Why nothing could be written a moment ago; None: it could, or nobody tried."""
        if self._failure is None or asyncio.get_running_loop().time() - self._failure[1] > TROUBLE_SECONDS:
            return None
        return self._failure[0]

    def _note(self, failure: PortError) -> None:
        self._failure = (failure.trouble, asyncio.get_running_loop().time())

    async def __call__(self, writes: Sequence[Write], seconds: float) -> None:
        """Return when the unit is durable; raises what became of it otherwise."""
        if self._closed:
            raise Unavailable("the store is closed")
        if len(self._waiting) >= self._most_waiting:
            raise Unavailable("too much waits to be written already", retry_after=1)
        loop = asyncio.get_running_loop()
        unit = _Unit(tuple(writes), loop.time() + seconds, loop.create_future())
        self._waiting.append(unit)
        if self._group and (self._watch is None or unit.deadline < self._watch.when()):
            self._watch_until(unit.deadline)
        if self._writing is None or self._writing.done():
            self._writing = begin_shared(self._write())
        await unit.outcome

    async def close(self) -> None:
        """Accept nothing more, and return when everything accepted has its outcome."""
        self._closed = True
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._gather()
            group = self._group = self._next_group(loop.time())
            if not group:
                continue
            # Bounds the wait of the callers when the disk or the engine does not answer; the write itself goes on.
            self._watch_until(min(unit.deadline for unit in (*group, *self._waiting)))
            try:
                outcomes = await self._commit([unit.writes for unit in group], [unit.deadline for unit in group])
            except Exception as error:
                log.exception("a group of %d units of work failed", len(group))
                outcomes = [error] * len(group)
            self._group = ()
            self._watch_until(None)
            away = [outcome for outcome in outcomes if isinstance(outcome, Unavailable | Unknown)]
            if len(away) == len(outcomes):
                self._note(away[-1])
            else:
                self._failure = None
            for unit, outcome in zip(group, outcomes, strict=True):
                _resolve(unit, outcome)

    async def _gather(self) -> None:
        """Give way while units keep coming: what the loop is about to hand in shares the price of this commit."""
        quiet = seen = 0
        while quiet < QUIET_TURNS and len(self._waiting) < self._most_units:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == seen else 0
            seen = len(self._waiting)

    def _next_group(self, now: float) -> list[_Unit]:
        group: list[_Unit] = []
        while self._waiting and len(group) < self._most_units:
            unit = self._waiting.popleft()
            if unit.deadline <= now:
                _resolve(unit, Unavailable("the store did not get to it in time", retry_after=1))
            else:
                group.append(unit)
        return group

    def _watch_until(self, deadline: float | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = None if deadline is None else asyncio.get_running_loop().call_at(deadline, self._give_up)

    def _give_up(self) -> None:
        """Answer those whose time is over, and look again when the next one's is."""
        now = asyncio.get_running_loop().time()
        for unit in self._group:
            if unit.deadline <= now:
                late = Unknown("the store did not answer in time")
                self._note(late)
                _resolve(unit, late)
        for unit in self._waiting:
            if unit.deadline <= now:
                _resolve(unit, Unavailable("the store does not answer", retry_after=1))
        self._waiting = deque(unit for unit in self._waiting if unit.deadline > now)
        later = [unit.deadline for unit in (*self._group, *self._waiting) if unit.deadline > now]
        self._watch_until(min(later, default=None))


def _resolve(unit: _Unit, outcome: Exception | None) -> None:
    if unit.outcome.done():  # its caller has gone
        return
    if outcome is None:
        unit.outcome.set_result(None)
    else:
        unit.outcome.set_exception(outcome)
