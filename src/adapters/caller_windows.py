"""A moving window for each of many callers."""

from collections import OrderedDict
from typing import Final

from adapters.moving_window import MovingWindow
from ports.rate_limit import Standing

EXACT_MOST: Final = 100  # moments that are kept for a caller: with ten thousand of them at most some 100 MB
CALLERS_MOST: Final = 10_000


class CallerWindows:
    """Up to ``count`` in any ``seconds`` for each caller.

    Of too many callers those are forgotten that asked longest ago.
    """

    def __init__(self, count: int, seconds: float, *, callers: int = CALLERS_MOST) -> None:
        self._count = count
        self._seconds = seconds
        self._callers = callers
        self._windows: OrderedDict[str, MovingWindow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def of(self, caller: str) -> MovingWindow:
        """The window of this caller."""
        window = self._windows.get(caller)
        if window is None:
            return self._begin(caller)
        self._windows.move_to_end(caller)
        return window

    def take(self, caller: str, now: float) -> Standing:
        """Count one for this caller at this moment, if there is room."""
        # As `_make` does it, without its checks: one is made for each request.
        return tuple.__new__(Standing, self.of(caller).take(now))  # from a tuple it is made without a call of Python's

    def _begin(self, caller: str) -> MovingWindow:
        if len(self._windows) >= self._callers:
            self._windows.popitem(last=False)
        window = self._windows[caller] = MovingWindow(self._count, self._seconds, exact_most=EXACT_MOST)
        return window
