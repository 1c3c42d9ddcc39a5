"""Leaves a provider alone for as long as it asks for that."""

import logging
from typing import Final, Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.errors import NotAsked, ToldToWait
from ports.clock import Clock
from ports.errors import Unavailable
from ports.trouble import Cause, Trouble

log = logging.getLogger("crossdock.outside")

HEEDED_MOST: Final = 60.0  # seconds; whoever asks for more patience is asked again sooner


class Heeding(Generic[Q, A]):
    """Asks nothing at all until the time is over that the provider wants, however it said so (``Retry-After``).

    It says so in answer to one question and means all of them: everybody else hears `ToldToWait` at once. It stands
    around the breaker, which has no probe meanwhile.
    """

    def __init__(self, ask: Ask[Q, A], *, api: str, clock: Clock) -> None:
        self._ask = ask
        self._api = api
        self._clock = clock
        self._until = float("-inf")  # on the monotonic scale

    @property
    def trouble(self) -> str | None:
        """Why the provider is not asked now."""
        wait = self._wait()
        if wait <= 0:
            return None
        words = f"{self._api} is not asked: it wants to be left alone, for {wait:.0f} seconds more"
        return Trouble(Cause.LIMITED, words)

    async def __call__(self, question: Q) -> A:
        wait = self._wait()
        if wait > 0:
            raise ToldToWait(f"{self._api} is not asked: it wants to be left alone", retry_after=wait)
        try:
            return await self._ask(question)
        except NotAsked:
            raise
        except Unavailable as error:
            self._heed(min(error.retry_after or 0.0, HEEDED_MOST))
            raise

    def _wait(self) -> float:
        return self._until - self._clock.monotonic()

    def _heed(self, seconds: float) -> None:
        if seconds <= 0:
            return
        if self._wait() <= 0:
            log.warning("%s wants to be left alone for %.0f seconds and is not asked so long", self._api, seconds)
        self._until = max(self._until, self._clock.monotonic() + seconds)
