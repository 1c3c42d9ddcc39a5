"""What is counted about the outside APIs that are asked."""

from enum import StrEnum
from typing import Final

from ports.histogram import Histogram
from ports.quota import Quota

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Outcome(StrEnum):
    """What became of a call to a provider; those of `HELD_BACK` never reached it."""

    ANSWERED = "answered"
    REFUSED = "refused"  # in the words of the business: there is no such city
    UNAVAILABLE = "unavailable"
    REJECTED = "rejected"
    FAILED = "failed"  # a mistake of ours
    ABANDONED = "abandoned"  # ended by us, at the deadline or with the process
    CROWDED = "crowded"  # too many were on their way
    QUOTA_SPENT = "quota_spent"
    BREAKER_OPEN = "breaker_open"
    TOLD_TO_WAIT = "told_to_wait"  # it has said when it wants to be asked again
    NOT_CONFIGURED = "not_configured"  # its key is missing


HELD_BACK: Final = frozenset(
    {
        Outcome.CROWDED,
        Outcome.QUOTA_SPENT,
        Outcome.BREAKER_OPEN,
        Outcome.TOLD_TO_WAIT,
        Outcome.NOT_CONFIGURED,
    }
)


class Recall(StrEnum):
    """What was found when a question was looked up before anybody was asked."""

    FRESH = "fresh"
    STALE = "stale"  # given, since nothing fresher could be had
    UNKNOWN = "unknown"  # known not to exist
    MISS = "miss"


class BreakerState(StrEnum):
    """Whether a provider is asked."""

    CLOSED = "closed"  # it is
    OPEN = "open"  # it is not
    HALF_OPEN = "half_open"  # one call is, to see


class OutsideCounts:
    """Counts of this process, by the name of the API; plain dictionaries, to be rendered when somebody asks."""

    def __init__(self) -> None:
        self.calls: dict[tuple[str, Outcome], int] = {}
        self.seconds: dict[str, Histogram] = {}
        self.recalls: dict[tuple[str, Recall], int] = {}
        self.breakers: dict[str, BreakerState] = {}
        self.breaker_changes: dict[tuple[str, BreakerState], int] = {}
        self.quotas: dict[str, Quota] = {}

    def called(self, api: str, outcome: Outcome, seconds: float) -> None:
        """A call ended so, after so long."""
        self.calls[api, outcome] = self.calls.get((api, outcome), 0) + 1
        if outcome not in HELD_BACK:
            if api not in self.seconds:
                self.seconds[api] = Histogram(BOUNDS)
            self.seconds[api].add(seconds)

    def recalled(self, api: str, what: Recall) -> None:
        """A question was looked up."""
        self.recalls[api, what] = self.recalls.get((api, what), 0) + 1

    def breaker(self, api: str, state: BreakerState) -> None:
        """The breaker stands so from now on."""
        if api in self.breakers:
            self.breaker_changes[api, state] = self.breaker_changes.get((api, state), 0) + 1
        self.breakers[api] = state

    async def quota_left(self) -> dict[str, int]:
        """How many calls each API would be granted now."""
        return {api: await quota.left() for api, quota in self.quotas.items()}
