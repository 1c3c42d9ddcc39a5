"""One deadline for a question and all that it leads to.

The moment travels in a context variable, so that whatever stands further in (failover, new attempts, the wait for a
free place in the quota) can see how much is left, and may shorten it but never extend it.
"""

import asyncio
from contextvars import Context, ContextVar, copy_context
from typing import Final, Generic

from adapters.outside.ask import A, Ask, Q
from ports.clock import Clock
from ports.errors import Unavailable

_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)  # on the monotonic scale
_others: ContextVar[bool] = ContextVar("others", default=False)
_RESOLUTION: Final = 0.002  # seconds by which the timers of an event loop may be early


class Deadline(Generic[Q, A]):
    """Ends every question after so many seconds, or earlier when there is an earlier deadline around it."""

    def __init__(self, ask: Ask[Q, A], *, clock: Clock, seconds: float) -> None:
        self._ask = ask
        self._clock = clock
        self._seconds = seconds

    async def __call__(self, question: Q) -> A:
        return await ended_within(self._seconds, self._ask, question, self._clock)


async def ended_within(seconds: float, ask: Ask[Q, A], question: Q, clock: Clock, *, others: bool = False) -> A:
    """The answer; `Unavailable` when it has not come after ``seconds``, and then the question is cancelled.

    ``others`` can be asked the same afterwards.
    """
    seconds = max(0.0, min(seconds, left(clock)))
    context = copy_context()
    context.run(_ends_at.set, clock.monotonic() + seconds)
    context.run(_others.set, others)

    async def asking() -> A:
        return await ask(question)

    call = asyncio.create_task(asking(), context=context)
    call.add_done_callback(_look_at_the_error)
    end = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({call, end}, return_when=asyncio.FIRST_COMPLETED)
        if not call.done():
            raise Unavailable(f"no answer came within {seconds:g} seconds")
        return call.result()
    finally:
        call.cancel()
        end.cancel()


def left(clock: Clock) -> float:
    """Seconds until the deadline of the question that is asked here; infinite when there is none."""
    ends_at = _ends_at.get()
    return float("inf") if ends_at is None else ends_at - clock.monotonic()


def others_can_answer() -> bool:
    """Whether somebody else is asked when this question is given up: then it need not be waited for for long."""
    return _others.get()


def passed(clock: Clock) -> bool:
    """Whether the deadline is over, so that a cancellation that is seen now comes from there."""
    return left(clock) <= _RESOLUTION


def without_deadline() -> Context:
    """A copy of this context for work that outlives the caller's deadline, since others wait for it as well."""
    context = copy_context()
    context.run(_ends_at.set, None)
    context.run(_others.set, False)
    return context


def _look_at_the_error(call: "asyncio.Task[A]") -> None:
    """Or asyncio complains about the error of a call that was cut off."""
    if not call.cancelled():
        call.exception()
