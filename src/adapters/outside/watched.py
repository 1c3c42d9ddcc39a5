"""Counts what became of the calls to one provider, and knows what its answers are worth."""

import asyncio
import logging
from typing import Final, Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.errors import BreakerOpen, Crowded, QuotaSpent, ToldToWait
from domain.model.errors import Refusal
from domain.model.times import to_rfc3339
from ports.clock import Clock
from ports.errors import Rejected, Unavailable
from ports.outside import Outcome, OutsideCounts
from ports.trouble import Cause, Trouble, together

log = logging.getLogger("crossdock.outside")

DOUBT_SECONDS: Final = 60.0


class Watched(Generic[Q, A]):
    """Counts each call by its outcome, with its seconds.

    It knows whether the quota held the last one back, and whether answers are of no use: that our key is refused, or
    what is said is nonsense, is one line in the log, as is that it is over. A provider that was of use is not doubted
    for one question alone: it takes two different ones in a row, or ``DOUBT_SECONDS`` without a good answer.
    ``not_configured`` is what a driver raises that lacks a setting.
    """

    def __init__(
        self,
        ask: Ask[Q, A],
        *,
        api: str,
        clock: Clock,
        counts: OutsideCounts,
        not_configured: tuple[type[Exception], ...] = (),
    ) -> None:
        self._ask = ask
        self._api = api
        self._clock = clock
        self._counts = counts
        self._not_configured = not_configured
        self._spent = ""  # why the quota held the last one back
        self._quota_back_at = float("-inf")
        self._was_of_use = False
        self._doubted: tuple[Q, float] | None = None  # the first question since that had no answer of use, and when
        self._no_use: tuple[str, str] | None = None  # since when, and why the last answer was

    @property
    def trouble(self) -> str | None:
        """That the quota is spent, or that answers are of no use."""
        wait = self._quota_back_at - self._clock.monotonic()
        spent = Trouble(Cause.LIMITED, f"{self._spent}, for {wait:.0f} seconds more") if wait > 0 else None
        if self._no_use is None:
            return spent
        since, why = self._no_use
        no_use = Trouble(Cause.REFUSED, f"{self._api} gives answers of no use since {since}: {why}")
        return together((spent, no_use))

    async def __call__(self, question: Q) -> A:
        began = self._clock.monotonic()
        try:
            answer = await self._ask(question)
        except BaseException as error:
            outcome = self._outcome(error)
            self._counts.called(self._api, outcome, self._clock.monotonic() - began)
            if isinstance(error, QuotaSpent):
                self._spent = str(error)
                self._quota_back_at = self._clock.monotonic() + (error.retry_after or 0.0)
            elif outcome is Outcome.REJECTED:
                self._is_of_no_use(question, error)
            elif outcome is Outcome.REFUSED:
                self._is_of_use()
            raise
        self._counts.called(self._api, Outcome.ANSWERED, self._clock.monotonic() - began)
        self._is_of_use()
        return answer

    def _is_of_no_use(self, question: Q, error: BaseException) -> None:
        if self._no_use is None and self._was_of_use:
            now = self._clock.monotonic()
            if self._doubted is None:
                self._doubted = question, now
            if question == self._doubted[0] and now - self._doubted[1] < DOUBT_SECONDS:
                log.debug("%s gave one question an answer of no use: %s", self._api, error)
                return
        if self._no_use is None:
            log.error("%s gives answers of no use: %s", self._api, error)
        since = to_rfc3339(self._clock.now()) if self._no_use is None else self._no_use[0]
        self._no_use = since, str(error)

    def _is_of_use(self) -> None:
        self._quota_back_at = float("-inf")
        self._was_of_use, self._doubted = True, None
        if self._no_use is not None:
            self._no_use = None
            log.info("%s gives answers of use again", self._api)

    def _outcome(self, error: BaseException) -> Outcome:
        if isinstance(error, self._not_configured):
            return Outcome.NOT_CONFIGURED
        return next(outcome for kind, outcome in _OUTCOMES if isinstance(error, kind))


# The first that fits counts.
_OUTCOMES: Final[tuple[tuple[type[BaseException], Outcome], ...]] = (
    (BreakerOpen, Outcome.BREAKER_OPEN),
    (ToldToWait, Outcome.TOLD_TO_WAIT),
    (QuotaSpent, Outcome.QUOTA_SPENT),
    (Crowded, Outcome.CROWDED),
    (Unavailable, Outcome.UNAVAILABLE),
    (Rejected, Outcome.REJECTED),
    (Refusal, Outcome.REFUSED),
    (asyncio.CancelledError, Outcome.ABANDONED),
    (BaseException, Outcome.FAILED),
)
