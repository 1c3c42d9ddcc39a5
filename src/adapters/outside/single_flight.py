"""Asks once for all who want the same at the same time."""

import asyncio
from collections.abc import Callable
from typing import Final, Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.deadline import without_deadline
from ports.errors import Unavailable

STOP_SECONDS: Final = 1.0


class SingleFlight(Generic[Q, A]):
    """Gives everybody who asks for the same ``key`` the answer to one question.

    The question has a task of its own: a caller that is cancelled leaves it to the others, and to the memory, and the
    deadline of one caller does not end it for the rest.
    """

    def __init__(self, ask: Ask[Q, A], *, key: Callable[[Q], str]) -> None:
        self._ask = ask
        self._key = key
        self._flights: dict[str, asyncio.Task[A]] = {}
        self._stopped = False

    async def __call__(self, question: Q) -> A:
        flight = self.begin(question)
        try:
            return await asyncio.shield(flight)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if flight.cancelled() and not (caller is not None and caller.cancelling()):
                raise Unavailable("the process is ending") from None  # it is the flight that was cancelled
            raise

    def begin(self, question: Q) -> "asyncio.Task[A]":
        """The question on its way, to be waited for only under `asyncio.shield`."""
        key = self._key(question)
        flight = self._flights.get(key)
        if flight is None:
            if self._stopped:
                raise Unavailable("the process is ending")
            flight = asyncio.create_task(self._asking(question), context=without_deadline())
            self._flights[key] = flight
            flight.add_done_callback(lambda landed: self._land(key, landed))
        return flight

    async def stop(self) -> None:
        """Cancel what is on its way, and take nothing new; its callers hear that the process is ending."""
        self._stopped = True
        flights = set(self._flights.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights, timeout=STOP_SECONDS)

    async def _asking(self, question: Q) -> A:
        return await self._ask(question)

    def _land(self, key: str, flight: "asyncio.Task[A]") -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # looked at, or asyncio complains of it when every caller has gone
