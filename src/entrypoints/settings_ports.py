"""One typed class for each port and backend, with the variables it is read from.

A new backend is one class here and its name in the union of its port in `entrypoints.settings`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from entrypoints.settings_variables import Rate, Refused, Variable, host_name, is_loopback, outbound_url, rate
from ports.crash_points import CrashPoint

_NAME = r"[A-Za-z0-9._-]{1,100}"  # what Kafka allows in a topic, with room for the rest of it
_FAULT = re.compile(rf"({'|'.join(map(re.escape, CrashPoint))}):(kill|freeze)(:[1-9][0-9]{{0,5}})?")
_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")


class Part(BaseSettings):
    """The settings of one port, by the names that the code uses."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True, allow_inf_nan=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `Settings.load` alone looks at the outside, since it remembers where each value came from.
        return (init_settings,)

    @classmethod
    def variables(cls) -> Iterator[tuple[str, Variable]]:
        """Field names and the variables they are read from."""
        for name, field in cls.model_fields.items():
            for mark in field.metadata:
                if isinstance(mark, Variable):
                    yield name, mark


def _visible(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not _VISIBLE.fullmatch(value.get_secret_value()):
        raise Refused("cannot be sent in a header")
    return value


# --- persistence ------------------------------------------------------------------------------------------------------


def _sqlite_path(value: object) -> object:
    if not isinstance(value, str):
        return value
    slash, path = value.partition("://")[2][:1], value.partition("://")[2][1:]
    if slash != "/" or not path or path.endswith("/") or path.startswith(":") or "?" in path or "\0" in path:
        raise Refused("names no file")
    return Path(path)


DATABASE_FORMS = "sqlite:///relative.db, sqlite:////absolute.db, memory://"


class SqlitePersistence(Part):
    """One file on this machine."""

    backend: Literal["sqlite"] = "sqlite"
    path: Annotated[
        Path, Variable("DATABASE_URL", "the file", DATABASE_FORMS, sensitive=True), BeforeValidator(_sqlite_path)
    ] = Path("crossdock.db")


class MemoryPersistence(Part):
    """Gone at exit; for test suites."""

    backend: Literal["memory"] = "memory"
    url: Annotated[Literal["memory://"], Variable("DATABASE_URL", "the store", DATABASE_FORMS, sensitive=True)] = (
        "memory://"
    )


# --- event broker -----------------------------------------------------------------------------------------------------


def _prefix(value: str) -> str:
    if value and not re.fullmatch(_NAME, value):
        raise Refused("cannot stand in the name of a topic")
    return value


class EventBrokerSettings(Part):
    """What is the same on each broker."""

    topic_prefix: Annotated[
        str,
        Variable(
            "CROSSDOCK_TOPIC_PREFIX",
            "put before each topic, exchange and queue name, so that environments can share a broker",
            "up to 100 letters, digits, dots, dashes and underscores",
        ),
        AfterValidator(_prefix),
    ] = ""
    consumer_group: Annotated[
        str,
        Variable(
            "CROSSDOCK_CONSUMER_GROUP",
            "consumers of one group share the work",
            "1 to 100 letters, digits, dots, dashes and underscores",
        ),
        Field(pattern=f"^{_NAME}$"),
    ] = "crossdock"
    partitions: Annotated[
        int,
        Variable("CROSSDOCK_PARTITIONS", "subjects are spread over so many partitions; fixed once used", "1 to 1024"),
        Field(ge=1, le=1024),
    ] = 12


class MemoryBroker(EventBrokerSettings):
    """Within this process."""

    backend: Literal["memory"] = "memory"


# --- task queue -------------------------------------------------------------------------------------------------------


class BackgroundTaskQueue(Part):
    """FastAPI's BackgroundTasks, made durable."""

    backend: Literal["background"] = "background"


class MemoryTaskQueue(Part):
    """Performed when told to; for test suites."""

    backend: Literal["memory"] = "memory"


# --- delivery ---------------------------------------------------------------------------------------------------------


class DeliverySettings(Part):
    """How often what fails is tried again."""

    max_attempts: Annotated[
        int,
        Variable("CROSSDOCK_MAX_ATTEMPTS", "attempts before a message is dead", "1 to 1000"),
        Field(ge=1, le=1000),
    ] = 8
    retry_delay: Annotated[
        float,
        Variable(
            "CROSSDOCK_RETRY_DELAY", "seconds before the second attempt; doubles, jittered, at most 60", "0 to 60"
        ),
        Field(ge=0, le=60),
    ] = 1.0


# --- weather ----------------------------------------------------------------------------------------------------------

_OUTBOUND = "an https address, or http on loopback; without user, query and fragment"


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
        Variable("CROSSDOCK_WEATHER_QUOTA", "calls to the provider, never more", "N/second, N/minute, N/hour, N/day"),
        BeforeValidator(rate),
    ] = Rate(60, 60)


class OpenWeather(WeatherSettings):
    """The API of openweathermap.org; without its key the app starts, and weather answers 503."""

    backend: Literal["openweather"] = "openweather"
    key: Annotated[
        SecretStr | None,
        Variable("OPEN_WEATHER_API_KEY", "the key of OpenWeather", "1 to 255 visible ASCII characters", secret=True),
        AfterValidator(_visible),
    ] = None
    url: Annotated[
        str, Variable("OPEN_WEATHER_URL", "where OpenWeather answers", _OUTBOUND), AfterValidator(outbound_url)
    ] = "https://api.openweathermap.org/data/2.5/weather"


class OpenMeteo(WeatherSettings):
    """The API of open-meteo.com, which needs no key."""

    backend: Literal["open_meteo"] = "open_meteo"
    geocoding_url: Annotated[
        str,
        Variable("OPEN_METEO_GEOCODING_URL", "where Open-Meteo knows places", _OUTBOUND),
        AfterValidator(outbound_url),
    ] = "https://geocoding-api.open-meteo.com/v1/search"
    forecast_url: Annotated[
        str,
        Variable("OPEN_METEO_FORECAST_URL", "where Open-Meteo knows the weather", _OUTBOUND),
        AfterValidator(outbound_url),
    ] = "https://api.open-meteo.com/v1/forecast"


class SampleWeather(WeatherSettings):
    """Fixed answers, which say so."""

    backend: Literal["sample"] = "sample"


# --- cache, mailer, identity ------------------------------------------------------------------------------------------


class MemoryCache(Part):
    """Within this process."""

    backend: Literal["memory"] = "memory"


class LogMailer(Part):
    """Writes each mail to the log instead of sending it."""

    backend: Literal["log"] = "log"


class MemoryMailer(Part):
    """Keeps what was sent; for test suites."""

    backend: Literal["memory"] = "memory"


class NoIdentity(Part):
    """Anyone may do everything but operate."""

    backend: Literal["none"] = "none"


# --- the process ------------------------------------------------------------------------------------------------------


def _no_limit_yet(value: str) -> str:
    if value:
        raise Refused("is not part of this release")
    return value


class ServerSettings(Part):
    """Where the service listens, who operates it, how long it drains."""

    host: Annotated[
        str, Variable("HOST", "the address to listen on", "a host name or an IP address"), AfterValidator(host_name)
    ] = "127.0.0.1"
    port: Annotated[
        int, Variable("PORT", "the port to listen on; 0 takes a free one", "0 to 65535"), Field(ge=0, le=65535)
    ] = 8000
    operator_token: Annotated[
        SecretStr | None,
        Variable(
            "CROSSDOCK_OPERATOR_TOKEN",
            "opens the operator paths; without it one is made up and printed at start when listening on loopback, "
            "else these paths are off",
            "1 to 255 visible ASCII characters",
            secret=True,
        ),
        AfterValidator(_visible),
    ] = None
    rate_limit: Annotated[
        str,
        Variable("CROSSDOCK_RATE_LIMIT", "requests that each caller may make", "empty (off)"),
        AfterValidator(_no_limit_yet),
    ] = ""
    grace: Annotated[
        float, Variable("CROSSDOCK_GRACE", "seconds to drain after SIGTERM", "0 to 3600"), Field(ge=0, le=3600)
    ] = 10.0

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)


class LoggingSettings(Part):
    """How the service speaks about itself."""

    format: Annotated[
        Literal["auto", "console", "json"],
        Variable(
            "CROSSDOCK_LOG_FORMAT",
            "auto is console on a terminal, else json; json lines use Elastic Common Schema names",
            "auto, console, json",
        ),
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Variable("CROSSDOCK_LOG_LEVEL", "the least that is logged", "debug, info, warning, error, critical"),
    ] = "info"


def _fault(value: str) -> str:
    if value and not _FAULT.fullmatch(value):
        raise Refused("is no fault at a known point")
    return value


class FaultSettings(Part):
    """Faults on purpose; for the tests of the promises."""

    armed: Annotated[
        str,
        Variable(
            "CROSSDOCK_FAULT",
            "a step at which the process dies or stops, at the first time or the Nth; for tests only",
            f"POINT:kill, POINT:freeze, POINT:kill:N, POINT:freeze:N with POINT one of {', '.join(CrashPoint)}",
        ),
        AfterValidator(_fault),
    ] = ""
