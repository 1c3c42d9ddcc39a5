"""What is being worked on at this moment, and whether it ends."""

from types import TracebackType

from ports.clock import Clock
from ports.trouble import Cause, Trouble

STUCK_SECONDS = 10.0  # longer than what we do takes with the deadlines of all that it waits for


class InHand:
    """Knows what was begun and has not ended; ``words`` say what such a thing is, with ``{}`` for its name."""

    def __init__(self, clock: Clock, words: str) -> None:
        self._clock = clock
        self._words = words
        self._begun: dict[object, tuple[str, float]] = {}  # the oldest is the first

    def working(self, name: str = "") -> "_Working":
        """It is in hand inside."""
        return _Working(self._begun, (name, self._clock.monotonic()))

    def moved(self) -> None:
        """A step of a long work is done: what is in hand gets on."""
        now = self._clock.monotonic()
        for key, (name, _) in self._begun.items():
            self._begun[key] = (name, now)

    @property
    def since(self) -> float | None:
        """When the longest in hand was begun, or moved, on the monotonic clock; None when nothing is."""
        return next((since for _, since in self._begun.values()), None)

    @property
    def trouble(self) -> Trouble | None:
        """What has not ended for so long that it may never."""
        for name, since in self._begun.values():
            seconds = self._clock.monotonic() - since
            if seconds < STUCK_SECONDS:
                return None
            return Trouble(Cause.STUCK, f"{self._words.format(name)} has not ended for {seconds:.0f} s")
        return None


class _Working:
    """What is in hand inside. Not a generator: there is one for each message."""

    __slots__ = ("_begun", "_what")

    def __init__(self, begun: dict[object, tuple[str, float]], what: tuple[str, float]) -> None:
        self._begun = begun
        self._what = what

    def __enter__(self) -> None:
        self._begun[self] = self._what

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        del self._begun[self]
