"""The settings of who knows the weather."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from entrypoints.settings_part import OUTBOUND, Part, visible
from entrypoints.settings_variables import Rate, Refused, Variable, masked, outbound_url, rate

WEATHER_PROVIDERS = ("openweather", "open_meteo", "sample")
WEATHER_FORMS = f"auto, {', '.join(WEATHER_PROVIDERS)}, or several of these without auto, separated by commas"
SEVERAL = ","  # the backend of a list; no name that could be chosen


class WeatherSettings(Part):
    """What is the same for each provider."""

    ttl: Annotated[
        int,
        Variable("CROSSDOCK_WEATHER_TTL", "seconds an answer is fresh", "1 to 86400"),
        Field(ge=1, le=86400),
    ] = 600
    stale: Annotated[
        int,
        Variable(
            "CROSSDOCK_WEATHER_STALE",
            "seconds more that it may still be given while the provider is down",
            "0 to 604800",
        ),
        Field(ge=0, le=604800),
    ] = 3600
    quota: Annotated[
        Rate,
        Variable("CROSSDOCK_WEATHER_QUOTA", "calls to each provider, never more", "N/second, N/minute, N/hour, N/day"),
        BeforeValidator(rate),
    ] = Rate(60, 60)

    @property
    def providers(self) -> tuple[str, ...]:
        """Who is asked, in this order."""
        raise NotImplementedError


class OpenWeatherAccess(WeatherSettings):
    """How the API of openweathermap.org is reached; without its key the app starts, and it is not asked."""

    key: Annotated[
        SecretStr | None,
        Variable("OPEN_WEATHER_API_KEY", "the key of OpenWeather", "1 to 255 visible ASCII characters", secret=True),
        AfterValidator(visible),
    ] = None
    url: Annotated[
        str, Variable("OPEN_WEATHER_URL", "where OpenWeather answers", OUTBOUND), AfterValidator(outbound_url)
    ] = "https://api.openweathermap.org/data/2.5/weather"


class OpenWeather(OpenWeatherAccess):
    """The API of openweathermap.org; without its key weather answers 503."""

    backend: Literal["openweather"] = "openweather"

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.backend,)


class OpenMeteoAccess(WeatherSettings):
    """How the API of open-meteo.com is reached, which needs no key."""

    geocoding_url: Annotated[
        str,
        Variable("OPEN_METEO_GEOCODING_URL", "where Open-Meteo knows places", OUTBOUND),
        AfterValidator(outbound_url),
    ] = "https://geocoding-api.open-meteo.com/v1/search"
    forecast_url: Annotated[
        str,
        Variable("OPEN_METEO_FORECAST_URL", "where Open-Meteo knows the weather", OUTBOUND),
        AfterValidator(outbound_url),
    ] = "https://api.open-meteo.com/v1/forecast"


class OpenMeteo(OpenMeteoAccess):
    """The API of open-meteo.com."""

    backend: Literal["open_meteo"] = "open_meteo"

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.backend,)


class SampleWeather(WeatherSettings):
    """Fixed answers, which say so."""

    backend: Literal["sample"] = "sample"

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.backend,)


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise Refused("has a comma without a name on both sides")
    for name in names:
        if name == "auto":
            raise Refused("has auto among several: it stands alone")
        if name not in WEATHER_PROVIDERS:
            raise Refused(f"names {masked(name)[:40]!r}, which is not known")
        if names.count(name) > 1:
            raise Refused(f"names {name} twice")
    return tuple(names)


class SeveralWeather(OpenWeatherAccess, OpenMeteoAccess):
    """Each when those before it cannot answer."""

    backend: Literal[","] = ","
    order: Annotated[
        tuple[str, ...], Variable("CROSSDOCK_WEATHER", "who is asked", WEATHER_FORMS), BeforeValidator(_names)
    ] = ("openweather", "open_meteo")

    @property
    def providers(self) -> tuple[str, ...]:
        return self.order
