"""Asks the next provider when one cannot answer."""

import logging
from collections.abc import Mapping
from typing import Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.deadline import ended_within, left
from ports.clock import Clock
from ports.errors import Rejected, Unavailable

log = logging.getLogger("crossdock.outside")


class Failover(Generic[Q, A]):
    """Asks providers in their order until one answers; ``asks`` has them by name.

    The next is asked after `Unavailable`, `Rejected` and what ``passed_over`` names; anything else is an answer. The
    time that is left is shared: one that is not the last gets its part and no more. When all have failed, the first
    that was merely unavailable speaks for all, else the first.
    """

    def __init__(
        self, asks: Mapping[str, Ask[Q, A]], *, clock: Clock, passed_over: tuple[type[Exception], ...] = ()
    ) -> None:
        if not asks:
            raise ValueError("there is nobody to ask")
        self._asks = tuple(asks.items())
        self._clock = clock
        self._next_after: tuple[type[Exception], ...] = (Unavailable, Rejected, *passed_over)

    async def __call__(self, question: Q) -> A:
        if len(self._asks) == 1:
            return await self._asks[0][1](question)
        errors: list[Exception] = []
        for behind, (api, ask) in zip(range(len(self._asks) - 1, -1, -1), self._asks, strict=True):
            try:
                seconds = left(self._clock) / (behind + 1)
                if behind and seconds != float("inf"):
                    return await ended_within(seconds, ask, question, self._clock)
                return await ask(question)
            except self._next_after as error:
                if isinstance(error, Rejected) and behind:
                    log.error("%s gave an answer of no use, the next one is asked: %s", api, error)  # noqa: TRY400 - all is said
                errors.append(error)
        raise next((error for error in errors if isinstance(error, Unavailable)), errors[0])
