"""Made-up weather, always the same: for demonstrations and tests."""

import zlib
from datetime import UTC, datetime
from typing import Final

from domain.model.errors import CityNotFound
from domain.model.weather import City, Weather
from ports.clock import Clock
from ports.weather import WeatherProvider

UNKNOWN: Final = City("Nowhere")  # the one city that does not exist
_OBSERVED_AT: Final = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
_CONDITIONS: Final = ("clear sky", "few clouds", "overcast", "light rain", "light snow", "fog")


class SampleWeather(WeatherProvider):
    """Invents an answer from the name of the city alone, without asking anybody."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def current(self, city: City) -> Weather:
        if city.key == UNKNOWN.key:
            raise CityNotFound
        dice = zlib.crc32(city.key.encode())
        temperature = dice % 400 / 10 - 5  # -5.0 to 34.9
        return Weather(
            city=city.name,
            country="ZZ",  # which ISO 3166 leaves to its users: nowhere in particular
            observed_at=_OBSERVED_AT,
            temperature_c=round(temperature, 1),
            feels_like_c=round(temperature - 1.5, 1),
            humidity_percent=40 + dice % 50,
            pressure_hpa=1000.0 + dice % 30,
            wind_speed_m_s=dice % 90 / 10,
            conditions=_CONDITIONS[dice % len(_CONDITIONS)],
            provider="sample",
            retrieved_at=self._clock.now(),
        )
