"""A quota of this process alone."""

from adapters.moving_window import MovingWindow
from ports.clock import Clock
from ports.quota import Quota


class MemoryQuota(Quota):
    """``count`` in any ``seconds``, by the monotonic clock."""

    def __init__(self, count: int, seconds: float, *, clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._window = MovingWindow(count, seconds)

    async def take(self) -> float:
        now = self._clock.monotonic()
        wait = self._window.wait(now)
        if not wait:
            self._window.add(now)
        return wait

    async def left(self) -> int:
        return max(0, self._count - self._window.used(self._clock.monotonic()))
