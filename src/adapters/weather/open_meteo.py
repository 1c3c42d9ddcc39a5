"""Open-Meteo: first where a city lies, then the weather there; needs no key."""

import hashlib
from datetime import UTC
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NaiveDatetime,
    StringConstraints,
    ValidationError,
    model_validator,
)

from adapters.http_client import Answer
from adapters.outside.metered import Http
from domain.model.errors import CityNotFound
from domain.model.weather import City, Weather
from ports.cache import Cache
from ports.clock import Clock
from ports.weather import WeatherProvider

PLACE_SECONDS: Final = 30 * 24 * 3600.0  # cities do not move

_CURRENT: Final = (
    "temperature_2m,apparent_temperature,relative_humidity_2m,pressure_msl,wind_speed_10m,weather_code"  # see _Now
)
_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^\P{Cc}+$")]
_Celsius = Annotated[float, Field(ge=-100, le=75)]

# WMO 4677, in the words of https://open-meteo.com/en/docs.
_WORDS: Final = {
    0: "clear sky",
    1: "mainly clear",
    2: "partly cloudy",
    3: "overcast",
    45: "fog",
    48: "depositing rime fog",
    51: "light drizzle",
    53: "moderate drizzle",
    55: "dense drizzle",
    56: "light freezing drizzle",
    57: "dense freezing drizzle",
    61: "slight rain",
    63: "moderate rain",
    65: "heavy rain",
    66: "light freezing rain",
    67: "heavy freezing rain",
    71: "slight snowfall",
    73: "moderate snowfall",
    75: "heavy snowfall",
    77: "snow grains",
    80: "slight rain showers",
    81: "moderate rain showers",
    82: "violent rain showers",
    85: "slight snow showers",
    86: "heavy snow showers",
    95: "thunderstorm",
    96: "thunderstorm with slight hail",
    97: "heavy thunderstorm",
    98: "thunderstorm with duststorm",
    99: "thunderstorm with heavy hail",
}


class OpenMeteo(WeatherProvider):
    """Asks https://open-meteo.com once, or twice for a city that ``cache`` does not know yet."""

    def __init__(self, *, geocoding_url: str, forecast_url: str, http: Http, cache: Cache, clock: Clock) -> None:
        self._geocoding_url = geocoding_url
        self._forecast_url = forecast_url
        self._http = http
        self._cache = cache
        self._clock = clock

    async def current(self, city: City) -> Weather:
        asked_at = self._clock.now()
        place = await self._place(city)
        answer = await self._ask(
            self._forecast_url,
            {
                "latitude": f"{place.latitude:.5f}",
                "longitude": f"{place.longitude:.5f}",
                "current": _CURRENT,
                "wind_speed_unit": "ms",
                "timezone": "GMT",
            },
        )
        now = answer.read(_Forecast).current
        return Weather(
            city=place.name,
            country=place.country_code,
            observed_at=now.time.replace(tzinfo=UTC),
            temperature_c=now.temperature_2m,
            feels_like_c=now.apparent_temperature,
            humidity_percent=now.relative_humidity_2m,
            pressure_hpa=now.pressure_msl,
            wind_speed_m_s=now.wind_speed_10m,
            conditions=_WORDS.get(now.weather_code, "unknown"),
            provider="open_meteo",
            retrieved_at=asked_at,
        )

    async def _place(self, city: City) -> "_Place":
        key = f"place:2:{hashlib.blake2b(city.key.encode(), digest_size=16).hexdigest()}"
        remembered = await self._cache.get(key)
        if remembered is not None:
            try:
                return _Place.model_validate_json(remembered)
            except ValidationError:
                pass  # whatever stands there is not ours: ask
        answer = await self._ask(
            self._geocoding_url, {"name": city.name, "count": "1", "language": "en", "format": "json"}
        )
        places = answer.read(_Places).results
        if not places:
            raise CityNotFound
        await self._cache.put(key, places[0].model_dump_json().encode(), seconds=PLACE_SECONDS)
        return places[0]

    async def _ask(self, url: str, parameters: dict[str, str]) -> Answer:
        answer = await self._http.get(url, parameters, expect=(200, 404))
        if answer.status == 404:
            raise CityNotFound
        return answer


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Place(_Strict):
    name: _Line
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    country_code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None


class _Places(_Strict):
    model_config = ConfigDict(extra="allow")

    results: list[_Place] = []  # an unknown place has no key at all

    @model_validator(mode="after")
    def _nothing_else_instead(self) -> Self:
        if not self.results and set(self.model_extra or ()) - {"generationtime_ms"}:
            raise ValueError("neither places nor the answer for an unknown one")
        return self


class _Units(_Strict):
    time: Literal["iso8601"]
    temperature_2m: Literal["°C"]
    apparent_temperature: Literal["°C"]
    relative_humidity_2m: Literal["%"]
    pressure_msl: Literal["hPa"]
    wind_speed_10m: Literal["m/s"]


class _Now(_Strict):
    time: NaiveDatetime  # in the zone that was asked for: GMT
    temperature_2m: _Celsius
    apparent_temperature: _Celsius
    relative_humidity_2m: Annotated[int, Field(ge=0, le=100)]
    pressure_msl: Annotated[float, Field(gt=0, lt=2000)]
    wind_speed_10m: Annotated[float, Field(ge=0, lt=200)]
    weather_code: Annotated[int, Field(ge=0, le=99)]


class _Forecast(_Strict):
    utc_offset_seconds: Literal[0]
    current_units: _Units
    current: _Now
