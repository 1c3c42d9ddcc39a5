"""Counts what became of the calls to one provider."""

import asyncio
from typing import Final, Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.errors import BreakerOpen, Crowded, QuotaSpent
from domain.model.errors import Refusal
from ports.clock import Clock
from ports.errors import Rejected, Unavailable
from ports.outside import Outcome, OutsideCounts


class Watched(Generic[Q, A]):
    """Counts each call by its outcome, with its seconds, and knows whether the quota held the last one back."""

    def __init__(self, ask: Ask[Q, A], *, api: str, clock: Clock, counts: OutsideCounts) -> None:
        self._ask = ask
        self._api = api
        self._clock = clock
        self._counts = counts
        self._quota_back_at = float("-inf")

    @property
    def trouble(self) -> str | None:
        """Whether the quota is spent."""
        wait = self._quota_back_at - self._clock.monotonic()
        return f"{self._api} is not asked: the quota is spent, for {wait:.0f} seconds more" if wait > 0 else None

    async def __call__(self, question: Q) -> A:
        began = self._clock.monotonic()
        try:
            answer = await self._ask(question)
        except BaseException as error:
            self._counts.called(self._api, _outcome(error), self._clock.monotonic() - began)
            if isinstance(error, QuotaSpent):
                self._quota_back_at = self._clock.monotonic() + (error.retry_after or 0.0)
            raise
        self._counts.called(self._api, Outcome.ANSWERED, self._clock.monotonic() - began)
        self._quota_back_at = float("-inf")
        return answer


# The first that fits counts.
_OUTCOMES: Final[tuple[tuple[type[BaseException], Outcome], ...]] = (
    (BreakerOpen, Outcome.BREAKER_OPEN),
    (QuotaSpent, Outcome.QUOTA_SPENT),
    (Crowded, Outcome.CROWDED),
    (Unavailable, Outcome.UNAVAILABLE),
    (Rejected, Outcome.REJECTED),
    (Refusal, Outcome.REFUSED),
    (asyncio.CancelledError, Outcome.ABANDONED),
    (BaseException, Outcome.FAILED),
)


def _outcome(error: BaseException) -> Outcome:
    return next(outcome for kind, outcome in _OUTCOMES if isinstance(error, kind))
