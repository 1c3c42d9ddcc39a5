"""Every question that a driver asks, so that each fault meets each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.cache.memory import MemoryCache
from adapters.outside.metered import Http
from adapters.weather.open_meteo import OpenMeteo
from adapters.weather.openweather import OpenWeather
from ports.cache import Cache
from ports.clock import Clock
from ports.weather import WeatherProvider
from tests.stand_ins.weather_server import FORECAST_PATH, GEOCODING_PATH, OPENWEATHER_PATH

KEY: Final = "a key"


def openweather(origin: str, http: Http, clock: Clock, *, key: str = KEY) -> WeatherProvider:
    """The driver, asking the server of this origin."""
    return OpenWeather(url=origin + OPENWEATHER_PATH, api_key=key, http=http, clock=clock)


def open_meteo(origin: str, http: Http, clock: Clock, *, cache: Cache | None = None) -> WeatherProvider:
    """The driver, asking the server of this origin; without a cache it remembers no place of another driver's."""
    return OpenMeteo(
        geocoding_url=origin + GEOCODING_PATH,
        forecast_url=origin + FORECAST_PATH,
        http=http,
        cache=MemoryCache(clock) if cache is None else cache,
        clock=clock,
    )


@dataclass(frozen=True, slots=True)
class Question:
    """One of the requests that a driver makes."""

    name: str
    path: str
    build: Callable[[str, Http, Clock], WeatherProvider]


QUESTIONS: Final[Mapping[str, Question]] = {
    question.name: question
    for question in (
        Question("openweather", OPENWEATHER_PATH, openweather),
        Question("open_meteo where", GEOCODING_PATH, open_meteo),
        Question("open_meteo what", FORECAST_PATH, open_meteo),
    )
}
