"""All parts around an outside API, put together in their order."""

from collections.abc import Mapping
from typing import Final, Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.breaker import Breaker
from adapters.outside.codec import Codec
from adapters.outside.deadline import Deadline
from adapters.outside.failover import Failover
from adapters.outside.heeding import Heeding
from adapters.outside.memory import Memory
from adapters.outside.recalling import Recalling
from adapters.outside.remembering import Remembering
from adapters.outside.retrying import RetryBudget, Retrying
from adapters.outside.single_flight import SingleFlight
from adapters.outside.watched import Watched
from ports.cache import Cache
from ports.clock import Clock
from ports.outside import OutsideCounts
from ports.trouble import together

_AHEAD: Final = 0.8  # of the time that an answer is fresh; from there on it is fetched anew in the background
_UNKNOWN_SECONDS_MOST: Final = 60.0


class Resilient(Generic[Q, A]):
    """Answers quickly, whatever the providers do.

    From the outside in: what is remembered; one question at a time for each key; the memory once more; the deadline;
    one provider after the other; and for each of these new attempts, counts, the pause that it wants, the breaker, the
    driver.

    ``asks`` are the drivers by name, in the order in which they are asked; ``api`` is what the answers are called in
    counts and cache keys. An answer is fresh for ``fresh_seconds`` and may be given for ``stale_seconds`` more while no
    fresher one can be had. ``deadline_seconds`` bounds a question with all that it leads to, each provider is tried up
    to ``attempts`` times. ``not_configured`` is what a driver raises that lacks a setting; the next one is asked then.
    """

    def __init__(
        self,
        asks: Mapping[str, Ask[Q, A]],
        codec: Codec[Q, A],
        *,
        api: str,
        cache: Cache,
        clock: Clock,
        counts: OutsideCounts,
        fresh_seconds: float,
        stale_seconds: float,
        deadline_seconds: float,
        attempts: int,
        not_configured: tuple[type[Exception], ...] = (),
    ) -> None:
        memory = Memory(
            cache,
            codec,
            name=f"{api}:{'+'.join(asks)}",  # the answers of one list of providers are not those of another
            clock=clock,
            seconds=fresh_seconds + stale_seconds,
            unknown_seconds=min(_UNKNOWN_SECONDS_MOST, fresh_seconds),
        )

        self._providers = {
            name: _Provider(ask, name, clock, counts, attempts=attempts, not_configured=not_configured)
            for name, ask in asks.items()
        }
        self._one_of_them = Failover(
            {name: provider.ask for name, provider in self._providers.items()},
            clock=clock,
            passed_over=not_configured,
            wants_a_probe=lambda name: self._providers[name].wants_a_probe,
        )
        bounded = Deadline(self._one_of_them, clock=clock, seconds=deadline_seconds)
        young = fresh_seconds * _AHEAD
        remembering = Remembering(bounded, memory=memory, codec=codec, young_seconds=young)
        self._flights = SingleFlight(remembering, key=codec.key)
        self._recalling = Recalling(
            self._flights,
            api=api,
            memory=memory,
            codec=codec,
            clock=clock,
            counts=counts,
            fresh_seconds=fresh_seconds,
            ahead_seconds=young,
            nobody_is_well=lambda: not any(provider.is_well for provider in self._providers.values()),
        )

    async def __call__(self, question: Q) -> A:
        return await self._recalling(question)

    @property
    def trouble(self) -> str | None:
        """What keeps providers from being asked now."""
        troubles = [trouble for provider in self._providers.values() for trouble in provider.troubles]
        return together(troubles)

    async def stop(self) -> None:
        """End the questions that are still on their way."""
        await self._flights.stop()
        await self._one_of_them.stop()
        await self._recalling.stop()


class _Provider(Generic[Q, A]):
    """One provider with the parts that it has for itself."""

    def __init__(
        self,
        ask: Ask[Q, A],
        name: str,
        clock: Clock,
        counts: OutsideCounts,
        *,
        attempts: int,
        not_configured: tuple[type[Exception], ...],
    ) -> None:
        self._breaker = Breaker(ask, api=name, clock=clock, counts=counts)
        self._heeding = Heeding(self._breaker, api=name, clock=clock)
        self._watched = Watched(self._heeding, api=name, clock=clock, counts=counts, not_configured=not_configured)
        self.ask: Ask[Q, A] = Retrying(self._watched, clock=clock, attempts=attempts, budget=RetryBudget(clock))

    @property
    def is_well(self) -> bool:
        return self._breaker.is_closed and self._heeding.trouble is None

    @property
    def wants_a_probe(self) -> bool:
        return self._breaker.wants_a_probe and self._heeding.trouble is None

    @property
    def troubles(self) -> tuple[str | None, ...]:
        return self._heeding.trouble, self._breaker.trouble, self._watched.trouble
