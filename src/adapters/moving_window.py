"""The count of what was granted within the last so many seconds."""

import math
from collections import deque
from typing import Final

EXACT_MOST: Final = 1000


def grain_of(count: int, seconds: float, exact_most: int = EXACT_MOST) -> float:
    """How exactly moments are kept: to a thousandth of the window, or fully where so many can be kept one by one.

    It bounds the memory of large quotas. A moment is never kept as an earlier one, so nothing is granted too soon.
    """
    return seconds / exact_most if count > exact_most else 0.0


class MovingWindow:
    """Up to ``count`` in any ``seconds``, by a clock that is given with each call and never goes back."""

    __slots__ = ("_count", "_grain", "_grants", "_seconds", "_used")  # there may be one for each of many callers

    def __init__(self, count: int, seconds: float, *, exact_most: int = EXACT_MOST) -> None:
        self._count = count
        self._seconds = seconds
        self._grain = grain_of(count, seconds, exact_most)
        self._used = 0
        self._grants: deque[tuple[float, int]] = deque()  # when they end to count, and how many; the oldest first

    def used(self, now: float) -> int:
        """How many count at this moment."""
        while self._grants and self._grants[0][0] <= now:
            self._used -= self._grants.popleft()[1]
        return self._used

    def wait(self, now: float, count: int | None = None) -> float:
        """Seconds until there is room for one more, of ``count`` when that is less than all; 0 when there is."""
        over = self.used(now) - (self._count if count is None else count)
        for end, number in self._grants:
            if over < 0:
                break
            over -= number
            if over < 0:
                return end - now
        return 0.0

    def more(self, now: float) -> float:
        """Seconds until the oldest of what counts does so no more; 0 when nothing counts."""
        return self._grants[0][0] - now if self.used(now) else 0.0

    def take(self, now: float) -> tuple[float, int, float]:
        """Count one if there is room: seconds to wait, 0 when there was; how many more; seconds until the oldest ends.

        The same as the others one after the other, in as few steps as can be: it is asked for with each request.
        """
        grants = self._grants
        if grants and grants[0][0] <= now:
            self.used(now)
        if self._used >= self._count:
            wait = self.wait(now)
            return wait, 0, wait
        self._grant(now)
        return 0.0, self._count - self._used, grants[0][0] - now

    def add(self, now: float) -> None:
        """Count one, whether there is room or not."""
        self.used(now)  # forgets what is past: some windows are only added to, for as long as an outage lasts
        self._grant(now)

    def _grant(self, now: float) -> None:
        grants = self._grants
        end = now + self._seconds
        if grants and grants[-1][0] >= end:
            end, number = grants.pop()
            grants.append((end, number + 1))
        else:
            if self._grain:
                end = math.ceil(now / self._grain) * self._grain + self._seconds
            grants.append((end, 1))
        self._used += 1
