"""Answers from memory, so that hardly anybody waits for a provider."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic

from adapters.outside.ask import A, Q
from adapters.outside.codec import Codec
from adapters.outside.errors import NotAsked
from adapters.outside.memory import Entry, Memory
from adapters.outside.single_flight import SingleFlight
from domain.model.errors import Refusal
from ports.clock import Clock
from ports.errors import Rejected, Unavailable
from ports.outside import OutsideCounts, Recall

log = logging.getLogger("crossdock.outside")

PATIENCE_SECONDS: Final = 1.0  # for a fresher answer when there is a stale one
REST_SECONDS: Final = 2.0  # after a failed try, in which a stale answer is given at once
REST_OF_ALL_MOST: Final = 1.0  # the same for all questions, when we ourselves hold them back
TRIES_MOST: Final = 100  # on their way at once for questions that have an answer meanwhile
_RESTS_MOST: Final = 10_000


class Recalling(Generic[Q, A]):
    """Gives what is remembered, and has it asked for again in time.

    Younger than ``ahead_seconds``: given. From then on given as well, while one try in the background fetches a new
    one, so that what is asked for often never waits. From ``fresh_seconds`` on whoever asks waits for a fresher answer,
    but no longer than `PATIENCE_SECONDS`, and not at all while ``nobody_is_well``, or for a while after a try has
    failed: then the stale one is given, and the try goes on. So it is with an answer that only this process still has,
    when the cache is away or was asked by too many at once. What does not exist is never hidden behind an old answer.
    ``asks`` is where what is not remembered is found out.
    """

    def __init__(
        self,
        asks: SingleFlight[Q, A],
        *,
        api: str,
        memory: Memory[Q, A],
        codec: Codec[Q, A],
        clock: Clock,
        counts: OutsideCounts,
        fresh_seconds: float,
        ahead_seconds: float,
        nobody_is_well: Callable[[], bool],
    ) -> None:
        self._asks = asks
        self._api = api
        self._memory = memory
        self._codec = codec
        self._clock = clock
        self._counts = counts
        self._fresh_seconds = fresh_seconds
        self._ahead_seconds = ahead_seconds
        self._nobody_is_well = nobody_is_well
        self._tries: dict[str, _Try[A]] = {}
        self._rests: OrderedDict[str, float] = OrderedDict()  # until when no try is made, by question
        self._all_rest_until = float("-inf")

    async def __call__(self, question: Q) -> A:
        try:
            found = await self._memory.recall(question)
        except self._codec.unknown:
            self._counts.recalled(self._api, Recall.UNKNOWN)
            raise
        if found is None:
            last = self._memory.last(question)
            if last is not None:
                return await self._fresher(question, last)
            self._counts.recalled(self._api, Recall.MISS)
            return await self._asks(question)
        entry, age = found
        if age < self._fresh_seconds:
            if age >= self._ahead_seconds:
                self._try(question)
            self._counts.recalled(self._api, Recall.FRESH)
            return entry.answer
        return await self._fresher(question, entry)

    async def stop(self) -> None:
        """End the waiting for tries; the tries themselves end with the flights."""
        waits = [one.patience for one in self._tries.values()]
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    async def _fresher(self, question: Q, entry: Entry[A]) -> A:
        attempt = self._try(question)
        if attempt is not None:
            if not attempt.patience.done() and not self._nobody_is_well():
                await asyncio.wait({attempt.patience})
            if attempt.flight.done() and not attempt.flight.cancelled():
                error = attempt.flight.exception()
                if error is None:
                    self._counts.recalled(self._api, Recall.MISS)
                    return attempt.flight.result()
                if not isinstance(error, (Unavailable, Rejected)):
                    raise error
        self._counts.recalled(self._api, Recall.STALE)
        return entry.stale

    def _try(self, question: Q) -> "_Try[A] | None":
        """The try that is on its way for this question, or a new one; None when it is not the time for one."""
        key = self._codec.key(question)
        attempt = self._tries.get(key)
        if attempt is not None:
            return attempt
        now = self._clock.monotonic()
        if now < self._all_rest_until or now < self._rests.get(key, now) or len(self._tries) >= TRIES_MOST:
            return None
        try:
            flight = self._asks.begin(question)
        except Unavailable:  # the process is ending
            return None
        attempt = self._tries[key] = _Try(flight, self._clock)
        flight.add_done_callback(lambda _: self._tried(key, flight))
        return attempt

    def _tried(self, key: str, flight: "asyncio.Task[A]") -> None:
        del self._tries[key]
        if flight.cancelled():
            return
        error = flight.exception()
        if error is None or isinstance(error, self._codec.unknown):
            self._rests.pop(key, None)
            return
        now = self._clock.monotonic()
        if isinstance(error, NotAsked):
            # It would be the same for every other question.
            self._all_rest_until = now + min(error.retry_after or 0.0, REST_OF_ALL_MOST)
            return
        self._rests[key] = now + REST_SECONDS
        self._rests.move_to_end(key)
        if len(self._rests) > _RESTS_MOST:
            self._rests.popitem(last=False)
        if not isinstance(error, (Unavailable, Rejected, Refusal)):
            log.error("%s: a mistake of ours kept it from being asked again", self._api, exc_info=error)


class _Try(Generic[A]):
    """A question on its way in the background, and for how long anybody waits for it."""

    __slots__ = ("flight", "patience")

    def __init__(self, flight: "asyncio.Task[A]", clock: Clock) -> None:
        self.flight = flight
        self.patience = asyncio.create_task(_patience(flight, clock))


async def _patience(flight: "asyncio.Task[A]", clock: Clock) -> None:
    """Return when the flight has landed, or after the time that anybody waits for it."""
    over = asyncio.ensure_future(clock.sleep(PATIENCE_SECONDS))
    try:
        await asyncio.wait({flight, over}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.cancel()
