"""A step, again and again: at once when there is more to do, when woken, or after a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from domain.delivery.attempts import Outage
from domain.delivery.failures import is_told_to_end
from domain.delivery.in_hand import InHand
from domain.delivery.pace import Pace
from ports.clock import Clock
from ports.errors import PortError
from ports.told_once import ToldOnce
from ports.trouble import Cause, Trouble

log = logging.getLogger("crossdock.delivery")

POLL_SECONDS = 1.0


class Part(Protocol):
    """What does the steps and knows more of how they get on: whether a long one moves, and what is refused."""

    in_hand: InHand

    @property
    def trouble(self) -> Trouble | None:
        """Why it does not get on although its steps end."""


class Loop:
    """Runs ``step`` for ever; the step says whether it found anything to do.

    Waking is immediate inside a process; polling is the net for what other processes record. A step that fails is run
    again after a growing while: a loop never ends by itself.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[bool]],
        clock: Clock,
        *,
        pace: Pace | None = None,
        poll_seconds: float = POLL_SECONDS,
        part: Part | None = None,
    ) -> None:
        self.name = name
        self._part = part
        self._in_hand = InHand(clock, f"a step of {name}") if part is None else part.in_hand
        self._pace = pace or Pace(clock)
        self._poll_seconds = poll_seconds
        self._step = step
        self._clock = clock
        self._wake = asyncio.Event()
        self._outage = Outage()
        self._told = ToldOnce(log, f"{name} goes on", now=clock.monotonic)
        self._failure: Trouble | None = None  # why the latest step failed

    @property
    def trouble(self) -> Trouble | None:
        """Why it does not get on: the latest step failed, the present one does not end, or its part says so."""
        told = None if self._part is None else self._part.trouble
        return self._failure or told or self._in_hand.trouble

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._wake.clear()
            began = self._clock.monotonic()
            try:
                with self._in_hand.working():
                    busy = await self._step()
            except PortError as error:  # also what is refused for good, until a person sees to it
                self._failure = error.trouble
                delay = self._outage.next_delay(getattr(error, "retry_after", None))
                self._told.trouble("%s waits: %s", self.name, error, why=error)
                await self._clock.sleep(delay)
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_told_to_end():
                    raise
                self._failure = Trouble(Cause.FAILED, f"{type(error).__name__}: see the log")
                delay = self._outage.next_delay()
                self._told.trouble("%s failed and is tried again", self.name, why=error, level=logging.ERROR)
                await self._clock.sleep(delay)
            else:
                self._outage.over()
                self._told.over()
                self._failure = None
                if not busy:
                    await self._clock.wait(self._wake, self._poll_seconds)
                    began = self._clock.monotonic()
                await self._pace.rest(self._clock.monotonic() - began)
