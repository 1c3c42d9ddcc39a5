"""Why an outside API was not even asked.

PortError
└── Unavailable
    ├── BreakerOpen   it has failed too often a moment ago
    ├── ToldToWait    it has said when it wants to be asked again
    ├── QuotaSpent    our calls of this window are used up
    └── Crowded       so many calls are on their way that none came to its end in time

Each ends at once whatever would try again, and none says anything about the health of the other side.
"""

from ports.errors import Unavailable
from ports.trouble import Cause


class NotAsked(Unavailable):
    """We held the question back; ``retry_after`` says when it is worth asking again."""

    usual = Cause.OUT_OF_REACH

    def __init__(self, detail: str, *, retry_after: float, cause: Cause | None = None) -> None:
        super().__init__(detail, retry_after=retry_after, cause=cause or self.usual)


class BreakerOpen(NotAsked):
    """The provider failed too often a moment ago and is left in peace."""


class ToldToWait(NotAsked):
    """The provider has said when it wants to be asked again, and it is not that late yet."""

    usual = Cause.LIMITED


class QuotaSpent(NotAsked):
    """The calls that the provider allows are used up for now."""

    usual = Cause.LIMITED


class Crowded(NotAsked):
    """As many calls as there may be at once were on their way all the time."""
