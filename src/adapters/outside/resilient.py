"""All parts around an outside API, put together in their order."""

from collections.abc import Mapping
from typing import Final, Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.breaker import Breaker
from adapters.outside.codec import Codec
from adapters.outside.deadline import Deadline
from adapters.outside.failover import Failover
from adapters.outside.memory import Memory
from adapters.outside.recalling import Recalling
from adapters.outside.remembering import Remembering
from adapters.outside.retrying import RetryBudget, Retrying
from adapters.outside.single_flight import SingleFlight
from adapters.outside.watched import Watched
from ports.cache import Cache
from ports.clock import Clock
from ports.outside import OutsideCounts

_AHEAD: Final = 0.8  # of the time that an answer is fresh; from there on it is fetched anew in the background
_UNKNOWN_SECONDS_MOST: Final = 60.0


class Resilient(Generic[Q, A]):
    """Answers quickly, whatever the providers do.

    From the outside in: what is remembered; one question at a time for each key; the memory once more; the deadline;
    one provider after the other; and for each of these new attempts, counts, the breaker, the driver.

    ``asks`` are the drivers by name, in the order in which they are asked; ``api`` is what the answers are called in
    counts and cache keys. An answer is fresh for ``fresh_seconds`` and may be given for ``stale_seconds`` more while no
    fresher one can be had. ``deadline_seconds`` bounds a question with all that it leads to, each provider is tried up
    to ``attempts`` times. ``passed_over`` are refusals of a provider that the next one may not share.
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
        passed_over: tuple[type[Exception], ...] = (),
    ) -> None:
        self._breakers: list[Breaker[Q, A]] = []
        self._watched: list[Watched[Q, A]] = []
        memory = Memory(
            cache,
            codec,
            name=f"{api}:{'+'.join(asks)}",  # the answers of one list of providers are not those of another
            clock=clock,
            seconds=fresh_seconds + stale_seconds,
            unknown_seconds=min(_UNKNOWN_SECONDS_MOST, fresh_seconds),
        )

        def guarded(provider: str, ask: Ask[Q, A]) -> Ask[Q, A]:
            breaker = Breaker(ask, api=provider, clock=clock, counts=counts)
            watched = Watched(breaker, api=provider, clock=clock, counts=counts)
            self._breakers.append(breaker)
            self._watched.append(watched)
            return Retrying(watched, clock=clock, attempts=attempts, budget=RetryBudget(clock))

        one_of_them = Failover(
            {provider: guarded(provider, ask) for provider, ask in asks.items()}, clock=clock, passed_over=passed_over
        )
        bounded = Deadline(one_of_them, clock=clock, seconds=deadline_seconds)
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
        )

    async def __call__(self, question: Q) -> A:
        return await self._recalling(question)

    @property
    def trouble(self) -> str | None:
        """What keeps providers from being asked now."""
        troubles = [breaker.trouble for breaker in self._breakers] + [watched.trouble for watched in self._watched]
        return "; ".join(trouble for trouble in troubles if trouble) or None

    async def stop(self) -> None:
        """End the questions that are still on their way."""
        await self._flights.stop()
        await self._recalling.stop()
