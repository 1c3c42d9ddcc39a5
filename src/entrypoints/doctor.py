"""Whether everything that was chosen is there and as it has to be. Nothing is changed by looking."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from domain.model.weather import City
from entrypoints.container import TOPICS, Container, build
from entrypoints.cures import cure
from entrypoints.settings import Settings
from entrypoints.settings_ports import OpenWeatherAccess
from ports.errors import PortError
from ports.trouble import Cause, Trouble

SERVICE_SECONDS = 5.0  # for all questions to one service
STOP_SECONDS = 2.0
PAUSE_SECONDS = 1.0  # before everything is looked at again
CITY = "Lisbon"

# Who is told of what happens here; the settings see to it that the addresses can be used.
_TOLD: Final = {"telemetry": "OTEL_EXPORTER_OTLP_ENDPOINT", "errors": "SENTRY_DSN"}

Question = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one thing: its ``cause`` and ``cure`` are empty when it is as it has to be."""

    check: str
    status: Literal["ready", "unavailable"]
    cause: str
    detail: str
    cure: str

    @classmethod
    def well(cls, check: str, detail: str) -> "Finding":
        """It is as it has to be."""
        return cls(check, "ready", "", detail, "")

    @classmethod
    def ill(cls, check: str, trouble: Trouble) -> "Finding":
        """It is not."""
        return cls(check, "unavailable", str(trouble.cause), str(trouble), cure(check, trouble.cause))


async def examine(settings: Settings, *, ask_weather: bool = False) -> list[Finding]:
    """Look at everything at once, each service within its bound.

    ``ask_weather`` spends a call of the provider's quota.
    """
    container = build(settings)
    # Before any time is measured: each imports its library, which keeps all others waiting.
    for port in ("persistence", "event_broker", "task_queue", "cache", "mailer", "identity"):
        getattr(container, port)()
    services = [
        _storage(container),
        _event_broker(container),
        _service(container.task_queue, "task_queue", settings.task_queue.backend, lambda queue: queue.ping()),
        _service(container.cache, "cache", settings.cache.backend, _look_at_cache),
        _service(container.mailer, "mailer", settings.mailer.backend, lambda mailer: mailer.ping()),
        _service(container.identity, "identity", settings.identity.backend, lambda identity: identity.ping()),
        _weather(container, ask=ask_weather),
    ]
    found = [Finding.well("settings", "they can be used together")]
    for findings in await asyncio.gather(*services):
        found += findings
    found += [
        Finding.well(check, f"goes to {line.shown}; the address can be used, it was not asked")
        for check, name in _TOLD.items()
        for line in settings.lines
        if line.variable.name == name and line.origin != "default"
    ]
    return found


async def examine_until_well(settings: Settings, *, seconds: float, ask_weather: bool = False) -> list[Finding]:
    """The same again and again until all is well, or so many seconds are over."""
    until = time.monotonic() + seconds
    while True:
        found = await examine(settings, ask_weather=ask_weather)
        if is_well(found) or time.monotonic() + PAUSE_SECONDS > until:
            return found
        await asyncio.sleep(PAUSE_SECONDS)


def is_well(found: list[Finding]) -> bool:
    """Whether nothing is as it must not be."""
    return all(finding.status == "ready" for finding in found)


# --- each of them -----------------------------------------------------------------------------------------------------


async def _storage(container: Container) -> list[Finding]:
    persistence, backend = container.persistence(), container.settings().persistence.backend

    async def open_and_ask() -> str:
        await persistence.start()
        await persistence.ping()
        return ""

    trouble = await _trouble(open_and_ask)
    await _ended(persistence)
    if trouble is None:
        return [Finding.well("storage", f"{backend} answers"), Finding.well("schema", "the newest")]
    if "crossdock migrate" in trouble:  # else what is refused is something else: rights, a file that is no database
        return [
            Finding.well("storage", f"{backend} answers"),
            Finding.ill("schema", Trouble(Cause.REFUSED, str(trouble))),
        ]
    return [Finding.ill("storage", trouble)]


async def _event_broker(container: Container) -> list[Finding]:
    settings = container.settings().event_broker
    # Its parts need no database to look at the broker: only who receives has leases there.
    broker = container.event_broker()
    identity = ""

    async def ask() -> str:
        nonlocal identity
        await broker.start()
        identity = str(await broker.identity())
        return identity

    async def look() -> str:
        missing = await broker.missing(TOPICS, settings.consumer_group)
        if missing:
            return f"{len(missing)} not there yet: relay and consumer make them when they start"
        return f"there, with {settings.partitions} partitions"

    try:
        if (trouble := await _trouble(ask)) is not None:
            return [Finding.ill("event_broker", trouble)]
        found = [Finding.well("event_broker", f"{settings.backend} answers: {identity}")]
        return found if settings.backend == "memory" else [*found, await _finding("topics", look)]
    finally:
        await _ended(broker)


async def _service(
    provider: Callable[[], Any], check: str, backend: str, question: Callable[[Any], Awaitable[object]]
) -> list[Finding]:
    part = provider()

    async def ask() -> str:
        if hasattr(part, "start"):
            await part.start()
        await question(part)
        return _INSIDE.get(backend, f"{backend} answers")

    try:
        return [await _finding(check, ask)]
    finally:
        await _ended(part)


_INSIDE = {
    "none": "nobody is asked for a token",
    **dict.fromkeys(("memory", "background", "log"), "part of the process"),
}


async def _look_at_cache(cache: Any) -> None:
    # It never fails for being away, and has asked its servers when it was started.
    if told := getattr(cache, "trouble", None):
        raise PortError(told)


async def _weather(container: Container, *, ask: bool) -> list[Finding]:
    chosen = container.settings().weather
    if "openweather" in chosen.providers and isinstance(chosen, OpenWeatherAccess) and chosen.key is None:
        trouble = Trouble(
            Cause.REFUSED, "openweather is not configured: OPEN_WEATHER_API_KEY is not set, and it answers 503"
        )
        return [Finding.ill("weather", trouble)]
    names = ", ".join(chosen.providers)
    if not ask:
        return [Finding.well("weather", f"{names}, configured; not asked, which would spend a call (--ask-weather)")]
    parts = [container.cache(), container.weather()]
    if set(chosen.providers) != {"sample"}:
        parts.insert(0, container.http())

    async def current() -> str:
        for part in parts:
            if hasattr(part, "start"):
                await part.start()
        weather = await container.get_weather()(City(CITY))
        return f"{weather.provider} answers"

    try:
        return [await _finding("weather", current)]
    finally:
        for part in reversed(parts):
            await _ended(part)


# --- asking -----------------------------------------------------------------------------------------------------------


async def _finding(check: str, question: Question) -> Finding:
    told = ""

    async def ask() -> str:
        nonlocal told
        told = await question()
        return told

    trouble = await _trouble(ask)
    return Finding.well(check, told) if trouble is None else Finding.ill(check, trouble)


async def _trouble(question: Question) -> Trouble | None:
    try:
        async with asyncio.timeout(SERVICE_SECONDS):
            await question()
    except TimeoutError:
        return Trouble(Cause.OUT_OF_REACH, f"no answer within {SERVICE_SECONDS:g} seconds")
    except PortError as error:
        return error.trouble
    except OSError as error:
        return Trouble(Cause.OUT_OF_REACH, error.strerror or type(error).__name__)
    except Exception as error:  # of one service: the others are told all the same
        return Trouble(Cause.FAILED, type(error).__name__)
    return None


async def _ended(part: Any) -> None:
    if hasattr(part, "stop"):
        with suppress(TimeoutError, PortError, OSError):
            async with asyncio.timeout(STOP_SECONDS):
                await part.stop()
