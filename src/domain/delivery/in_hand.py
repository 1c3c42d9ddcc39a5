"""What is being worked on at this moment, and whether it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from ports.clock import Clock
from ports.trouble import Cause, Trouble

STUCK_SECONDS = 10.0  # longer than what we do takes with the deadlines of all that it waits for


class InHand:
    """Knows what was begun and has not ended; ``words`` say what such a thing is, with ``{}`` for its name."""

    def __init__(self, clock: Clock, words: str) -> None:
        self._clock = clock
        self._words = words
        self._begun: dict[object, tuple[str, float]] = {}  # the oldest is the first

    @contextmanager
    def working(self, name: str = "") -> Iterator[None]:
        """It is in hand inside."""
        key = object()
        self._begun[key] = (name, self._clock.monotonic())
        try:
            yield
        finally:
            del self._begun[key]

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
