"""The weather, whatever the providers do: all parts of `adapters.outside` around the drivers, behind the same port."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict, field_validator

from adapters.outside.codec import Codec
from adapters.outside.resilient import Resilient
from domain.model.errors import CityNotFound, WeatherNotConfigured
from domain.model.weather import City, Weather
from ports.cache import Cache
from ports.clock import Clock
from ports.outside import OutsideCounts
from ports.trouble import together
from ports.weather import WeatherProvider

API: Final = "weather"
STORED_MOST: Final = 8 * 1024  # bytes of one answer in the cache
_TEXT_MOST: Final = 200
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_COUNTRY: Final = re.compile("[A-Z]{2}")


class ResilientWeather(WeatherProvider):
    """Providers with everything around them.

    ``providers`` are drivers by name, in the order in which they are asked: the next when one is unavailable, of no use
    or not configured. See `Resilient` for the rest.
    """

    def __init__(
        self,
        providers: Mapping[str, WeatherProvider],
        *,
        cache: Cache,
        clock: Clock,
        counts: OutsideCounts | None = None,
        fresh_seconds: float = 600,
        stale_seconds: float = 3600,
        deadline_seconds: float = 8,
        attempts: int = 3,
    ) -> None:
        self._ask = Resilient(
            {name: provider.current for name, provider in providers.items()},
            WeatherCodec(),
            api=API,
            cache=cache,
            clock=clock,
            counts=OutsideCounts() if counts is None else counts,
            fresh_seconds=fresh_seconds,
            stale_seconds=stale_seconds,
            deadline_seconds=deadline_seconds,
            attempts=attempts,
            not_configured=(WeatherNotConfigured,),
        )
        self._providers = tuple(providers.values())

    async def current(self, city: City) -> Weather:
        return await self._ask(city)

    @property
    def trouble(self) -> str | None:
        """What keeps providers from being asked now; for readiness."""
        return together([*(provider.trouble for provider in self._providers), self._ask.trouble])

    async def stop(self) -> None:
        """End the questions that are still on their way."""
        await self._ask.stop()


class WeatherCodec(Codec[City, Weather]):
    """The weather as JSON."""

    version = 3
    unknown = CityNotFound

    def key(self, question: City) -> str:
        return question.key

    def encode(self, answer: Weather) -> bytes:
        return _Entry.model_construct(weather=answer).model_dump_json().encode()

    def decode(self, stored: bytes) -> Weather:
        if len(stored) > STORED_MOST:
            raise ValueError("larger than anything that we store")
        return _Entry.model_validate_json(stored).weather

    def asked_at(self, answer: Weather) -> datetime:
        return answer.retrieved_at

    def stale(self, answer: Weather) -> Weather:
        return replace(answer, stale=True)


class _Entry(BaseModel):
    """What the cache holds; strict, because others may write there."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    weather: Weather

    @field_validator("weather")
    @classmethod
    def _is_what_a_driver_would_say(cls, weather: Weather) -> Weather:
        texts = (weather.city, weather.conditions, weather.provider)
        country = weather.country
        is_plausible = (
            weather.observed_at.utcoffset() == weather.retrieved_at.utcoffset() == timedelta(0)
            and -100 <= weather.temperature_c <= 75
            and -100 <= weather.feels_like_c <= 75
            and 0 <= weather.humidity_percent <= 100
            and 0 < weather.pressure_hpa < 2000
            and 0 <= weather.wind_speed_m_s < 200
            and all(0 < len(text) <= _TEXT_MOST and not _CONTROLS.search(text) for text in texts)
            and (country is None or _COUNTRY.fullmatch(country) is not None)
            and not weather.stale
        )
        if not is_plausible:
            raise ValueError("weather that no driver would give")
        return weather
