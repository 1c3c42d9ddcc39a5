"""OpenWeatherMap: current weather, with a key."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from adapters.outside.metered import Http
from domain.model.errors import CityNotFound, WeatherNotConfigured
from domain.model.weather import City, Weather
from ports.clock import Clock
from ports.trouble import Cause, Trouble
from ports.weather import WeatherProvider

_LAST_SECOND: Final = 253_402_300_799  # of the year 9999, which is the last that a datetime knows

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^\P{Cc}+$")]
# The answer does not name its units; beyond these bounds they are not what was asked for (284 would be kelvins).
_Celsius = Annotated[float, Field(ge=-100, le=75)]


class OpenWeather(WeatherProvider):
    """Asks https://openweathermap.org/current once; without a key it is not configured."""

    def __init__(self, *, url: str, api_key: str | None, http: Http, clock: Clock) -> None:
        self._url = url
        self._secrets = {"appid": SecretStr(api_key)} if api_key else None
        self._http = http
        self._clock = clock

    @property
    def trouble(self) -> str | None:
        return (
            None
            if self._secrets
            else Trouble(Cause.REFUSED, "openweather is not asked: OPEN_WEATHER_API_KEY is not set")
        )

    async def current(self, city: City) -> Weather:
        if self._secrets is None:
            raise WeatherNotConfigured
        asked_at = self._clock.now()
        answer = await self._http.get(
            self._url, {"q": city.name, "units": "metric"}, secrets=self._secrets, expect=(200, 404)
        )
        if answer.status == 404:
            raise CityNotFound
        report = answer.read(_Report)
        return Weather(
            city=report.name,
            country=report.sys.country,
            observed_at=datetime.fromtimestamp(report.dt, UTC),
            temperature_c=report.main.temp,
            feels_like_c=report.main.feels_like,
            humidity_percent=report.main.humidity,
            pressure_hpa=report.main.pressure,
            wind_speed_m_s=report.wind.speed,
            conditions=report.weather[0].description,
            provider="openweather",
            retrieved_at=asked_at,
        )


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Conditions(_Strict):
    description: _Line


class _Measures(_Strict):
    temp: _Celsius
    feels_like: _Celsius
    humidity: Annotated[int, Field(ge=0, le=100)]
    pressure: Annotated[float, Field(gt=0, lt=2000)]


class _Wind(_Strict):
    speed: Annotated[float, Field(ge=0, lt=200)]


class _Country(_Strict):
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None  # the open sea has none


class _Report(_Strict):
    name: _Line
    dt: Annotated[int, Field(ge=0, le=_LAST_SECOND)]
    weather: Annotated[list[_Conditions], Field(min_length=1)]
    main: _Measures
    wind: _Wind
    sys: _Country
