"""Requests first: delivery in a process that also answers requests gives way while many are in flight."""

from ports.clock import Clock

MANY = 8  # requests in flight: fewer leave the processor idle now and then, and delivery costs them nothing
REST_LEAST = 0.2  # seconds
REST_MOST = 1.0


class Pace:
    """Decides how long delivery rests between two batches.

    What was accepted can wait a moment, whoever waits for an answer cannot. Under load delivery rests twice as long as
    it worked, so it keeps a third of the time and always goes on; otherwise it does not rest at all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.in_flight = 0  # kept by whoever answers requests

    @property
    def is_pressed(self) -> bool:
        """Whether many requests wait for their answer."""
        return self.in_flight >= MANY

    def at_most(self, usual: int, *, pressed: int) -> int:
        """How much to take at once: fewer under load, since what is taken together holds the event loop together."""
        return pressed if self.is_pressed else usual

    async def rest(self, worked: float = 0.0) -> None:
        """Rest after ``worked`` seconds, if there is a reason to."""
        if self.is_pressed:
            await self._clock.sleep(min(max(2 * worked, REST_LEAST), REST_MOST))
