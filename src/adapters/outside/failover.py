"""Asks the next provider when one cannot answer."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.deadline import ended_within, left, without_deadline
from adapters.outside.errors import BreakerOpen
from ports.clock import Clock
from ports.errors import Rejected, Unavailable

PROBE_SECONDS: Final = 8.0
STOP_SECONDS: Final = 1.0


class Failover(Generic[Q, A]):
    """Asks providers in their order until one answers; ``asks`` has them by name.

    The next is asked after `Unavailable`, `Rejected` and what ``passed_over`` names; anything else is an answer. The
    time that is left is shared: one that is not the last gets its part and no more. One that ``wants_a_probe``, to see
    whether it is back, is asked in the background, and its answer waited for only when nobody else has one: it may
    well hang. When all have failed, the first that was merely unavailable speaks for all, else the first.
    """

    def __init__(
        self,
        asks: Mapping[str, Ask[Q, A]],
        *,
        clock: Clock,
        passed_over: tuple[type[Exception], ...] = (),
        wants_a_probe: Callable[[str], bool] = lambda _: False,
    ) -> None:
        if not asks:
            raise ValueError("there is nobody to ask")
        self._asks = tuple(asks.items())
        self._clock = clock
        self._next_after: tuple[type[Exception], ...] = (Unavailable, Rejected, *passed_over)
        self._wants_a_probe = wants_a_probe
        self._probes: dict[str, asyncio.Task[A]] = {}

    async def __call__(self, question: Q) -> A:
        if len(self._asks) == 1:
            return await self._asks[0][1](question)
        errors: list[Exception] = []
        probes: list[asyncio.Task[A]] = []
        for behind, (api, ask) in zip(range(len(self._asks) - 1, -1, -1), self._asks, strict=True):
            if behind and self._wants_a_probe(api):
                if api in self._probes:  # begun by somebody else in this very moment
                    errors.append(BreakerOpen(f"{api} is asked by one alone, to see if it is back", retry_after=1))
                else:
                    probes.append(self._probe(api, ask, question))
                continue
            try:
                seconds = left(self._clock) / (behind + 1)
                if behind and seconds != float("inf"):
                    return await ended_within(seconds, ask, question, self._clock, others=True)
                return await ask(question)
            except self._next_after as error:
                errors.append(error)
        for probe in probes:
            try:
                return await asyncio.shield(probe)
            except self._next_after as error:
                errors.append(error)
        raise next((error for error in errors if isinstance(error, Unavailable)), errors[0])

    async def stop(self) -> None:
        """End the probes that are on their way."""
        probes = set(self._probes.values())
        for probe in probes:
            probe.cancel()
        if probes:
            await asyncio.wait(probes, timeout=STOP_SECONDS)

    def _probe(self, api: str, ask: Ask[Q, A], question: Q) -> "asyncio.Task[A]":
        """``question``, asked of this provider by a task of its own that outlives whoever asked."""
        asking = ended_within(PROBE_SECONDS, ask, question, self._clock)
        probe = self._probes[api] = asyncio.create_task(asking, context=without_deadline())
        probe.add_done_callback(lambda ended: self._ended(api, ended))
        return probe

    def _ended(self, api: str, probe: "asyncio.Task[A]") -> None:
        del self._probes[api]
        if not probe.cancelled():
            probe.exception()  # looked at, or asyncio complains of it when nobody waited for it
