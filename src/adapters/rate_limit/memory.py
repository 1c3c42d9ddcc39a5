"""A rate limit of this process alone."""

from adapters.caller_windows import CALLERS_MOST, CallerWindows
from ports.clock import Clock
from ports.rate_limit import RateLimit, Standing


class MemoryRateLimit(RateLimit):
    """``count`` for each caller in any ``seconds``, by the monotonic clock."""

    def __init__(self, count: int, seconds: int, *, clock: Clock, callers: int = CALLERS_MOST) -> None:
        self.count = count
        self.seconds = seconds
        self._clock = clock
        self._windows = CallerWindows(count, seconds, callers=callers)

    async def take(self, caller: str) -> Standing:
        return self._windows.take(caller, self._clock.monotonic())
