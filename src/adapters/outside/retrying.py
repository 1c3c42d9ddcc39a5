"""Tries again what may have been a moment's weakness, and never so often that it makes an outage worse."""

from typing import Final, Generic

import tenacity

from adapters.outside.ask import A, Ask, Q
from adapters.outside.deadline import left
from adapters.outside.errors import NotAsked
from ports.clock import Clock
from ports.errors import Unavailable

_FIRST_PAUSE: Final = 0.25  # seconds, doubling with each attempt; the pause is anything between none and all of it
_PAUSE_MOST: Final = 2.0
_ASKED_MOST: Final = 60.0  # seconds that a provider may ask us to wait, however it said so


class RetryBudget:
    """How many new attempts there may be: a share of the calls, and a few beyond.

    Each call pays in its ``share``, time pays in a little, and a new attempt costs 1. Up to ``most`` can be saved: so
    many attempts a sudden outage may cost, and after those a tenth more calls than there are questions.
    """

    def __init__(self, clock: Clock, *, share: float = 0.1, a_second: float = 0.1, most: float = 10) -> None:
        self._clock = clock
        self._share = share
        self._a_second = a_second
        self._most = most
        self._saved = most
        self._paid_at = clock.monotonic()

    def called(self) -> None:
        """A first attempt is made."""
        self._save(self._share)

    def take(self) -> bool:
        """Whether a new attempt may be made; it is paid for then."""
        self._save(0.0)
        if self._saved < 1:
            return False
        self._saved -= 1
        return True

    def _save(self, share: float) -> None:
        now = self._clock.monotonic()
        self._saved = min(self._most, self._saved + share + (now - self._paid_at) * self._a_second)
        self._paid_at = now


class Retrying(Generic[Q, A]):
    """Tries again what is `Unavailable`, as long as the next attempt can begin before the deadline.

    What was held back on our side (`NotAsked`) is not tried again. Pauses double and are jittered; a provider that says
    when to come back is not asked before.
    """

    def __init__(self, ask: Ask[Q, A], *, clock: Clock, attempts: int, budget: RetryBudget) -> None:
        self._ask = ask
        self._clock = clock
        self._attempts = attempts
        self._budget = budget

    async def __call__(self, question: Q) -> A:
        self._budget.called()
        attempts = tenacity.AsyncRetrying(  # one a question: it keeps the state of its attempts in itself
            sleep=self._clock.sleep,
            retry=_worth_it,
            wait=_pause,
            stop=self._enough,
            reraise=True,
        )
        return await attempts(self._ask, question)

    def _enough(self, state: tenacity.RetryCallState) -> bool:
        if state.attempt_number >= self._attempts or state.upcoming_sleep >= left(self._clock):
            return True
        return not self._budget.take()


def _is_worth_it(error: BaseException) -> bool:
    return isinstance(error, Unavailable) and not isinstance(error, NotAsked)


_worth_it = tenacity.retry_if_exception(_is_worth_it)
_jittered = tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE, max=_PAUSE_MOST)


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt: what the provider asked for, and some more so that not all come at once."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, Unavailable) else None
    return min(max(asked or 0.0, 0.0), _ASKED_MOST) + _jittered(state)
