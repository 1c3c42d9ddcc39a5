"""What makes one provider quick and safe, as wrappers of the port around it.

Each wrapper has one concern, wants a provider and is one; `ResilientWeather` puts them together. From the outside in:
recall a fresh answer; one question at a time for each city; recall again (whoever was late finds what the one before
has left); remember the answer; end by the deadline; try again.
"""

import asyncio
import hashlib
from typing import Final

import tenacity
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from domain.model.weather import City, Weather
from ports.cache import Cache
from ports.clock import Clock
from ports.errors import Unavailable
from ports.weather import WeatherProvider

_FIRST_PAUSE: Final = 0.25  # seconds, doubling with each attempt; the pause is anything between none and all of it
_PAUSE_MOST: Final = 2.0


class ResilientWeather(WeatherProvider):
    """A provider with everything around it.

    ``name`` tells its answers in a shared cache from those of other providers. ``fresh_seconds`` is how long an answer
    counts as the weather now, ``deadline_seconds`` bounds a call with all its ``attempts``.
    """

    def __init__(
        self,
        provider: WeatherProvider,
        *,
        name: str,
        cache: Cache,
        clock: Clock,
        fresh_seconds: float = 600,
        deadline_seconds: float = 8,
        attempts: int = 3,
    ) -> None:
        memory = WeatherMemory(cache, name=name, seconds=fresh_seconds)
        persistent = Retrying(provider, clock=clock, attempts=attempts, within_seconds=deadline_seconds)
        bounded = Deadline(persistent, clock=clock, seconds=deadline_seconds)
        self._flights = SingleFlight(Recalling(Remembering(bounded, memory), memory))
        self._outermost = Recalling(self._flights, memory)

    async def current(self, city: City) -> Weather:
        return await self._outermost.current(city)

    async def stop(self) -> None:
        """End the questions that are still on their way."""
        await self._flights.stop()


class _Entry(BaseModel):
    """What the cache holds; strict, because others may write there."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    weather: Weather

    @field_validator("weather")
    @classmethod
    def _times_have_a_zone(cls, weather: Weather) -> Weather:
        if weather.observed_at.tzinfo is None or weather.retrieved_at.tzinfo is None:
            raise ValueError("a time without a zone")
        return weather


class WeatherMemory:
    """The weather of cities in a cache."""

    def __init__(self, cache: Cache, *, name: str, seconds: float) -> None:
        self._cache = cache
        self._prefix = f"weather:1:{name}:"  # 1 is the version of what is stored under it
        self._seconds = seconds

    async def recall(self, city: City) -> Weather | None:
        """What was remembered of ``city``, if it is still there and is what we would have written."""
        stored = await self._cache.get(self._key(city))
        if stored is None:
            return None
        try:
            return _Entry.model_validate_json(stored).weather
        except ValidationError:
            return None

    async def remember(self, city: City, weather: Weather) -> None:
        """Keep ``weather`` as what to say of ``city``."""
        stored = _Entry.model_construct(weather=weather).model_dump_json().encode()
        await self._cache.put(self._key(city), stored, seconds=self._seconds)

    def _key(self, city: City) -> str:
        # A digest, since a city may be longer than a key and of any script.
        return self._prefix + hashlib.blake2b(city.key.encode(), digest_size=16).hexdigest()


class Recalling(WeatherProvider):
    """Answers from memory, and asks only when there is nothing in it."""

    def __init__(self, inner: WeatherProvider, memory: WeatherMemory) -> None:
        self._inner = inner
        self._memory = memory

    async def current(self, city: City) -> Weather:
        remembered = await self._memory.recall(city)
        return remembered if remembered is not None else await self._inner.current(city)


class Remembering(WeatherProvider):
    """Puts every answer into memory."""

    def __init__(self, inner: WeatherProvider, memory: WeatherMemory) -> None:
        self._inner = inner
        self._memory = memory

    async def current(self, city: City) -> Weather:
        weather = await self._inner.current(city)
        await self._memory.remember(city, weather)
        return weather


class SingleFlight(WeatherProvider):
    """Asks once for all who want the same city at the same time.

    The question has a task of its own: a caller that is cancelled leaves it to the others, and to the memory.
    """

    def __init__(self, inner: WeatherProvider) -> None:
        self._inner = inner
        self._flights: dict[str, asyncio.Task[Weather]] = {}

    async def current(self, city: City) -> Weather:
        flight = self._flights.get(city.key)
        if flight is None:
            flight = self._flights[city.key] = asyncio.create_task(self._inner.current(city))
            flight.add_done_callback(lambda landed: self._land(city.key, landed))
        return await asyncio.shield(flight)

    async def stop(self) -> None:
        """Cancel what is on its way; its callers are cancelled with it."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _land(self, key: str, flight: asyncio.Task[Weather]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # looked at, or asyncio complains of it when every caller has gone


class Deadline(WeatherProvider):
    """Ends every call after so many seconds."""

    def __init__(self, inner: WeatherProvider, *, clock: Clock, seconds: float) -> None:
        self._inner = inner
        self._clock = clock
        self._seconds = seconds

    async def current(self, city: City) -> Weather:
        call = asyncio.ensure_future(self._inner.current(city))
        end = asyncio.ensure_future(self._clock.sleep(self._seconds))
        try:
            await asyncio.wait({call, end}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise Unavailable(f"the weather did not come within {self._seconds:g} seconds")
            return call.result()
        finally:
            call.cancel()
            end.cancel()


class Retrying(WeatherProvider):
    """Tries again what is `Unavailable`, and nothing else, as long as the next attempt can begin in time.

    Pauses double and are jittered. A provider that says when to come back is not asked before.
    """

    def __init__(self, inner: WeatherProvider, *, clock: Clock, attempts: int, within_seconds: float) -> None:
        self._inner = inner
        self._clock = clock
        self._attempts = attempts
        self._within = within_seconds

    async def current(self, city: City) -> Weather:
        end = self._clock.monotonic() + self._within

        def enough(state: tenacity.RetryCallState) -> bool:
            too_late = self._clock.monotonic() + state.upcoming_sleep >= end
            return too_late or state.attempt_number >= self._attempts

        attempts = tenacity.AsyncRetrying(
            sleep=self._clock.sleep,
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=_pause,
            stop=enough,
            reraise=True,
        )
        return await attempts(self._inner.current, city)


_jittered = tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE, max=_PAUSE_MOST)


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt: what the provider asked for, and some more so that not all come at once."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, Unavailable) else None
    return (asked or 0.0) + _jittered(state)
