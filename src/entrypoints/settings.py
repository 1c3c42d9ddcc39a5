"""The settings: what was chosen for each port, read once from the environment, `.env` and the files that they name.

Only entrypoints read settings; adapters get plain values from the container. A backend that is added is its class in
`entrypoints.settings_<port>`, and its name in `settings_ports` and in a union here; `Choice.later` loses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Self

from entrypoints import settings_ports as ports
from entrypoints.settings_slots import Line, slots_of
from entrypoints.settings_sources import Problem, SettingsError, given, read_dotenv
from entrypoints.settings_variables import Choice, Variable

__all__ = ["Settings", "SettingsError"]


_ALSO_CALLED = {"postgres": "postgresql"}


def _scheme(url: str, _: Mapping[str, str]) -> str:
    scheme, separator, _rest = url.partition("://")
    return _ALSO_CALLED.get(scheme.lower(), scheme.lower()) if separator else ""


def _provider(value: str, values: Mapping[str, str]) -> str:
    if "," in value:
        return ports.SEVERAL
    if value != "auto":
        return value
    return "openweather" if values.get("OPEN_WEATHER_API_KEY") else "open_meteo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be chosen from outside."""

    persistence: Annotated[
        ports.SqlitePersistence | ports.PostgresqlPersistence | ports.MemoryPersistence,
        Choice(
            Variable(
                "DATABASE_URL",
                "where users, orders and what is still to be delivered are kept",
                ports.DATABASE_FORMS,
                sensitive=True,
            ),
            default="sqlite:///crossdock.db",
            resolve=_scheme,
        ),
    ]
    event_broker: Annotated[
        ports.MemoryBroker | ports.KafkaBroker | ports.RabbitMqBroker,
        Choice(Variable("CROSSDOCK_EVENT_BROKER", "what carries events"), default="memory"),
    ]
    task_queue: Annotated[
        ports.BackgroundTaskQueue | ports.CeleryTaskQueue | ports.MemoryTaskQueue,
        Choice(
            Variable("CROSSDOCK_TASK_QUEUE", "what carries tasks; memory performs them when told to, for test suites"),
            default="background",
        ),
    ]
    delivery: ports.DeliverySettings
    weather: Annotated[
        ports.OpenWeather | ports.OpenMeteo | ports.SampleWeather | ports.SeveralWeather,
        Choice(
            Variable(
                "CROSSDOCK_WEATHER",
                "who knows the weather, of several each when those before it cannot answer; auto is openweather when "
                "its key is set, else open_meteo",
                ports.WEATHER_FORMS,
            ),
            default="auto",
            also=("auto",),
            resolve=_provider,
        ),
    ]
    cache: Annotated[
        ports.MemoryCache | ports.RedisCache | ports.MemcachedCache,
        Choice(
            Variable("CROSSDOCK_CACHE", "what remembers answers; with redis all processes share the quotas as well"),
            default="memory",
        ),
    ]
    mailer: Annotated[
        ports.LogMailer | ports.SmtpMailer | ports.MemoryMailer,
        Choice(
            Variable("CROSSDOCK_MAILER", "who sends mail; memory keeps it, for test suites"),
            default="log",
        ),
    ]
    identity: Annotated[
        ports.NoIdentity | ports.OidcIdentity,
        Choice(
            Variable("CROSSDOCK_IDENTITY", "who says who is calling; with none, anyone may do everything but operate"),
            default="none",
        ),
    ]
    server: ports.ServerSettings
    logging: ports.LoggingSettings
    telemetry: ports.TelemetrySettings
    errors: ports.ErrorReportSettings
    files: ports.FileSettings
    faults: ports.FaultSettings
    lines: tuple[Line, ...] = ()  # one for each variable, for people
    suspects: tuple[Problem, ...] = ()  # names that nothing reads and that may be a mistake

    @classmethod
    def load(cls, environ: Mapping[str, str], dotenv: Path | None) -> Self:
        """What this environment and, behind it, this file say; `SettingsError` with everything that is wrong."""
        slots = tuple(slots_of(cls))
        from_file, problems = read_dotenv(dotenv) if dotenv is not None else ({}, [])
        known = {name for slot in slots for name in slot.variables()}
        found = given(environ, from_file, known)
        wrong: list[Problem] = []
        parts = {slot.port: part for slot in slots if (part := slot.read(found, wrong)) is not None}
        wrong += [problem for slot in slots for problem in slot.check_the_rest(found)]
        # What was given and could not be had is told once, and not as missing as well.
        problems += [*found.problems, *(problem for problem in wrong if not found.lacks(problem.variable))]
        if problems:
            raise SettingsError(problems)
        lines = tuple(line for slot in slots for line in slot.lines(found, type(parts[slot.port])))
        return cls(**parts, lines=lines, suspects=found.suspects)  # type: ignore[arg-type] # each slot gives one of the classes of its own field

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that were given, to be kept out of what is written."""
        parts = (getattr(self, field.name) for field in fields(self))
        return tuple(secret for part in parts if isinstance(part, ports.Part) for secret in part.secrets())

    @classmethod
    def defaults(cls) -> Self:
        """What holds when nothing is set."""
        return cls.load({}, None)
