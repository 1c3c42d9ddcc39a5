"""When something is tried again."""

from dataclasses import dataclass
from random import Random

DELAY_MOST = 60.0
OUTAGE_MOST = 10.0
_dice = Random()  # noqa: S311 - spreads retries, keeps no secret


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often, and after how long, what failed by its own fault is tried again.

    ``delay`` is in seconds, before the second attempt; it doubles with each further one up to a minute.
    """

    most: int = 8
    delay: float = 1.0
    dice: Random = _dice

    def delay_after(self, attempts: int) -> float:
        """Seconds until the next attempt, after so many; jittered by a quarter, so that not all come at once."""
        delay = min(self.delay * 2.0 ** min(attempts - 1, 30), DELAY_MOST)
        return min(delay * self.dice.uniform(0.75, 1.25), DELAY_MOST)


@dataclass(slots=True)
class Outage:
    """How long to wait while something is merely unavailable: doubling from a tenth of a second to ten."""

    dice: Random = _dice
    _count: int = 0

    def next_delay(self, retry_after: float | None = None) -> float:
        """Seconds to wait before the next try; what the other side asked for counts within the bound."""
        delay = min(0.1 * 2.0 ** min(self._count, 10), OUTAGE_MOST)
        self._count += 1
        if retry_after is not None:
            delay = max(delay, retry_after)
        return min(delay * self.dice.uniform(0.75, 1.0), OUTAGE_MOST)

    def over(self) -> None:
        """It answers again."""
        self._count = 0
