"""What is still to be delivered, as storage and broker tell."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ports.clock import Clock
from ports.deliveries import Lane, State
from ports.errors import PortError
from ports.event_broker import EventBroker
from ports.persistence import Persistence
from ports.shared_work import begin_shared

FRESH_SECONDS = 2.0  # so long an answer is given to whoever asks next
ANSWER_SECONDS = 1.2  # for all questions together: metrics are asked for every two seconds, by way of a sibling too

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits; None: not known now."""

    counts: Mapping[tuple[Lane, State], int] | None
    overdue: Mapping[Lane, float] | None  # seconds that the first in line has been due, by lane
    lag: Mapping[str, int] | None  # messages that our group has not acknowledged, by topic


class Backlog:
    """Asks once for all who want to know at about the same time, and is answered within a bound."""

    def __init__(
        self, persistence: Persistence, broker: EventBroker, clock: Clock, *, topics: Sequence[str], group: str
    ) -> None:
        self._persistence = persistence
        self._broker = broker
        self._clock = clock
        self._topics = topics
        self._group = group
        self._asking: asyncio.Task[Waiting] | None = None
        self._asked_at = float("-inf")
        self._asks_broker = True

    def leave_broker_alone(self) -> None:
        """Ask storage alone: this process has nothing to do with the broker."""
        self._asks_broker = False

    async def waiting(self) -> Waiting:
        """What waits now, or did up to two seconds ago."""
        now = self._clock.monotonic()
        if self._asking is None or (self._asking.done() and now - self._asked_at >= FRESH_SECONDS):
            self._asked_at = now
            self._asking = begin_shared(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Waiting:
        ledger = self._persistence.ledger
        counts, overdue, lag = await asyncio.gather(
            _known(ledger.counts), _known(self._overdue), _known(self._lag) if self._asks_broker else _nothing()
        )
        return Waiting(counts, overdue, lag)

    async def _overdue(self) -> Mapping[Lane, float]:
        since = await self._persistence.ledger.due_since()
        now = self._clock.now()
        return {lane: max(0.0, (now - since[lane]).total_seconds()) if lane in since else 0.0 for lane in Lane}

    async def _lag(self) -> Mapping[str, int]:
        lags = await asyncio.gather(*(self._broker.backlog([topic], self._group) for topic in self._topics))
        return dict(zip(self._topics, lags, strict=True))


async def _known(question: Callable[[], Awaitable[T]]) -> T | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await question()
    except (PortError, TimeoutError):
        return None


async def _nothing() -> None:
    return None
