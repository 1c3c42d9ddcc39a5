"""Leaves a provider that keeps failing in peace, and finds out by itself when it is well again."""

import asyncio
import logging
from datetime import datetime
from typing import Final, Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.deadline import passed
from adapters.outside.errors import BreakerOpen, NotAsked
from domain.model.times import to_rfc3339
from ports.clock import Clock
from ports.errors import Unavailable
from ports.outside import BreakerState, OutsideCounts
from ports.trouble import Cause, Trouble

log = logging.getLogger("crossdock.outside")

_SLICES: Final = 10  # of the window; the oldest is forgotten as a whole
_WORDS: Final = {Cause.OUT_OF_REACH: "does not answer", Cause.LIMITED: "takes no more calls"}
_FORGOTTEN_SECONDS: Final = 20.0  # after the next call might have been made and was not


class Breaker(Generic[Q, A]):
    """Opens when too many of the last calls were `Unavailable`; then asks with one call at a time, to see.

    ``ratio`` of the calls of the last ``window_seconds`` must have failed, and at least ``failures_least`` of them. It
    stays open for ``open_seconds``; then the next question is the probe, and everybody else is told `BreakerOpen` until
    that one has ended: well, and all is as it was; not well, and it stays open as long again. What was held back on our
    side counts as nothing; any other answer, be it a refusal, shows that the provider is there.
    """

    def __init__(
        self,
        ask: Ask[Q, A],
        *,
        api: str,
        clock: Clock,
        counts: OutsideCounts,
        ratio: float = 0.5,
        failures_least: int = 5,
        window_seconds: float = 20,
        open_seconds: float = 2,
    ) -> None:
        self._ask = ask
        self._api = api
        self._clock = clock
        self._counts = counts
        self._ratio = ratio
        self._failures_least = failures_least
        self._open_seconds = open_seconds
        self._window = _Window(window_seconds / _SLICES)
        self._state = BreakerState.CLOSED
        self._opened_at: datetime | None = None  # when it ceased to be closed, for people
        self._closed_until = 0.0  # to everybody while open, on the monotonic scale
        self._cause = Cause.OUT_OF_REACH  # of the last failure
        self._run = 0  # calls that began before the last change say nothing about the provider now
        counts.breaker(api, self._state)

    @property
    def trouble(self) -> str | None:
        """Why the provider is not asked now."""
        if self._opened_at is None or self._clock.monotonic() > self._closed_until + _FORGOTTEN_SECONDS:
            return None  # nobody has asked for so long, since another stands in for it, that nobody knows how it is
        since = f"not asked since {to_rfc3339(self._opened_at)}, but to see if it is back"
        return Trouble(self._cause, f"{self._api} {_WORDS[self._cause]}: {since}")

    @property
    def is_closed(self) -> bool:
        """Whether everybody may ask."""
        return self._state is BreakerState.CLOSED

    @property
    def wants_a_probe(self) -> bool:
        """Whether the next question would be asked alone, to see."""
        return self._state is BreakerState.OPEN and self._clock.monotonic() >= self._closed_until

    async def __call__(self, question: Q) -> A:
        self._enter()
        run = self._run
        try:
            answer = await self._ask(question)
        except NotAsked:
            self._nothing_learnt(run)
            raise
        except Unavailable as error:
            self._failed(run, error.cause)
            raise
        except asyncio.CancelledError:
            # Cut off at the deadline is how a provider fails that never answers; gone with the caller says nothing.
            if passed(self._clock):
                self._failed(run, Cause.OUT_OF_REACH)
            else:
                self._nothing_learnt(run)
            raise
        except BaseException:
            self._answered(run)
            raise
        self._answered(run)
        return answer

    def _enter(self) -> None:
        if self._state is BreakerState.CLOSED:
            return
        wait = self._closed_until - self._clock.monotonic()
        if self._state is BreakerState.HALF_OPEN or wait > 0:
            raise BreakerOpen(
                f"{self._api} is not asked: it failed too often", retry_after=max(wait, 1.0), cause=self._cause
            )
        self._change(BreakerState.HALF_OPEN)

    def _answered(self, run: int) -> None:
        if run != self._run:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._window.clear()
            self._opened_at = None
            self._change(BreakerState.CLOSED)
            log.info("%s answers again: its breaker is closed", self._api)
        else:
            self._window.add(self._clock.monotonic(), failed=False)

    def _failed(self, run: int, cause: Cause) -> None:
        if run != self._run:
            return
        self._cause = Cause.LIMITED if cause is Cause.LIMITED else Cause.OUT_OF_REACH
        if self._state is BreakerState.HALF_OPEN:
            self._open()
            return
        now = self._clock.monotonic()
        self._window.add(now, failed=True)
        calls, failures = self._window.sums(now)
        if failures >= self._failures_least and failures >= calls * self._ratio:
            self._opened_at = self._clock.now()
            self._open()
            words = _WORDS[self._cause]
            log.warning("%s %s: its breaker is open, %d of %d calls failed", self._api, words, failures, calls)

    def _nothing_learnt(self, run: int) -> None:
        if run == self._run and self._state is BreakerState.HALF_OPEN:
            self._change(BreakerState.OPEN)  # whoever comes next is the probe

    def _open(self) -> None:
        self._closed_until = self._clock.monotonic() + self._open_seconds
        self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        self._run += 1
        self._state = state
        self._counts.breaker(self._api, state)


class _Window:
    """Calls and failures of the last moments, in slices of time; costs the same however many there are."""

    def __init__(self, slice_seconds: float) -> None:
        self._slice_seconds = slice_seconds
        self._slices: dict[int, list[int]] = {}  # by number of the slice: calls, failures

    def add(self, now: float, *, failed: bool) -> None:
        number = int(now // self._slice_seconds)
        counted = self._slices.get(number)
        if counted is None:
            self._forget_before(number)
            counted = self._slices[number] = [0, 0]
        counted[0] += 1
        counted[1] += failed

    def sums(self, now: float) -> tuple[int, int]:
        self._forget_before(int(now // self._slice_seconds))
        return sum(calls for calls, _ in self._slices.values()), sum(failed for _, failed in self._slices.values())

    def clear(self) -> None:
        self._slices.clear()

    def _forget_before(self, number: int) -> None:
        for old in [one for one in self._slices if one <= number - _SLICES]:
            del self._slices[old]
