"""The key of a provider is seen by the provider and by nobody else, whatever goes wrong.

A canary is hunted through logs, errors, objects, answers, metrics, the cache, the command line and the list of
processes; and each hunt is shown to find one that is there.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import structlog
from dependency_injector import providers
from pydantic import SecretStr

from adapters.clock import SystemClock
from adapters.http_client import HttpClient
from adapters.weather.openweather import OpenWeather
from domain.model.weather import City
from entrypoints.container import Container
from entrypoints.observability import LogFormat
from entrypoints.testing import OPERATOR_TOKEN, Crossdock, crossdock
from ports.errors import PortError, Unavailable
from ports.weather import WeatherProvider
from tests.certificates import NOBODY_TRUSTED, Authority
from tests.clock import ManualClock
from tests.integration.crashes.service import Service
from tests.integration.weather.hunting import CANARY, Logged, NotedCache, everything_logged, in_error, in_objects
from tests.integration.weather.questions import openweather
from tests.integration.weather.waiting import until
from tests.stand_ins.weather_faults import FAULTS
from tests.stand_ins.weather_server import Asked, Script, WeatherServer, as_the_providers_do

FORMATS: tuple[LogFormat, ...] = ("json", "console")
BERLIN = City("Berlin")


@pytest.fixture(params=FORMATS)
def logged(request: pytest.FixtureRequest) -> Iterator[Logged]:
    with everything_logged(request.param) as logged:
        yield logged


async def error_of(weather: WeatherProvider) -> PortError:
    """What it raises; a frame of its own, whose locals are shown with the error and hold no canary of ours."""
    try:
        await weather.current(BERLIN)
    except PortError as error:
        return error
    pytest.fail("it answered")


async def nothing_under_way(http: HttpClient) -> None:
    """A call that was left ends a moment later; until then its request is held, which it has to be."""
    assert await until(lambda: not http._calls)


# One question, with every fault


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_of_a_provider_shows_its_key(
    hasty: HttpClient, server: WeatherServer, clock: ManualClock, logged: Logged, fault: str
) -> None:
    asyncio.get_running_loop().set_debug(True)
    server.always(FAULTS[fault])
    weather = openweather(server.origin, hasty, clock, key=CANARY)

    error = await error_of(weather)

    await nothing_under_way(hasty)
    assert server.asked[0].parameter("appid") == CANARY
    assert in_error(error) == []
    assert logged.canaries == []
    assert in_objects(weather, hasty, error.args) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "http://[::", "weather", "http://xn--a/"])
async def test_no_address_that_cannot_be_asked_shows_the_key(
    hasty: HttpClient, clock: ManualClock, logged: Logged, url: str
) -> None:
    weather = OpenWeather(url=url, api_key=CANARY, http=hasty, clock=clock)

    error = await error_of(weather)

    assert in_error(error) == []
    assert logged.canaries == []
    assert in_objects(weather, hasty) == []


async def test_no_fault_of_tls_shows_the_key(clock: ManualClock, logged: Logged) -> None:
    asyncio.get_running_loop().set_debug(True)
    authority = Authority()
    http = HttpClient(clock, tls=authority.trusted())
    await http.start()

    try:
        for context in (authority.server("weather.example"), authority.server(days=(-2, -1)), Authority().server()):
            async with WeatherServer(tls=context) as server:
                error = await error_of(openweather(server.origin, http, clock, key=CANARY))
                assert in_error(error) == []
    finally:
        await http.stop()

    assert logged.canaries == []
    assert in_objects(http) == []


async def test_a_right_answer_does_not_show_the_key(
    http: HttpClient, server: WeatherServer, clock: ManualClock, logged: Logged
) -> None:
    asyncio.get_running_loop().set_debug(True)
    weather = openweather(server.origin, http, clock, key=CANARY)

    now = await weather.current(BERLIN)

    assert server.asked[0].parameter("appid") == CANARY
    assert logged.canaries == []
    assert in_objects(weather, http, now) == []


async def test_a_caller_that_leaves_does_not_show_the_key(
    http: HttpClient, server: WeatherServer, clock: ManualClock, logged: Logged
) -> None:
    asyncio.get_running_loop().set_debug(True)
    server.always(FAULTS["hang"])
    weather = openweather(server.origin, http, clock, key=CANARY)
    call = asyncio.create_task(weather.current(BERLIN))
    await server.until_asked(1)

    call.cancel()
    (left,) = await asyncio.gather(call, return_exceptions=True)
    await http.stop()

    assert isinstance(left, BaseException)
    assert in_error(left) == []
    assert logged.canaries == []
    assert in_objects(weather, http) == []


# The whole service, with every fault


def with_the_fault_that_the_city_names(asked: Asked) -> Script:
    return FAULTS.get(asked.parameter("q"), as_the_providers_do)


async def as_named(asked: Asked, writer: asyncio.StreamWriter) -> None:
    await with_the_fault_that_the_city_names(asked)(asked, writer)


async def everything_told_by(dock: Crossdock, city: str) -> list[tuple[str, str]]:
    """Status, headers and body of what can be read of a service over HTTP."""
    as_operator = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    paths = [f"/weather/{city}", "/metrics", "/readyz", "/operator/api/status", "/operator/api/dead-letters"]
    answers = [await dock.client.get(path, headers=as_operator) for path in paths]
    return [(path, f"{answer.headers} {answer.text}") for path, answer in zip(paths, answers, strict=True)]


@asynccontextmanager
async def service_with(server: WeatherServer) -> AsyncIterator[tuple[Crossdock, NotedCache, HttpClient]]:
    """The service with a provider whose fault the city names, and with hardly any patience."""
    hasty = HttpClient(SystemClock(), wait_seconds=0.5, call_seconds=1, tls=NOBODY_TRUSTED)
    cache = NotedCache(SystemClock())

    def configure(container: Container) -> None:
        container.clock.override(providers.Object(SystemClock()))
        container.http.override(providers.Object(hasty))
        container.cache.override(providers.Object(cache))

    async with crossdock(
        configure=configure,
        CROSSDOCK_WEATHER="openweather",
        OPEN_WEATHER_API_KEY=CANARY,
        OPEN_WEATHER_URL=server.openweather_url,
    ) as dock:
        yield dock, cache, hasty


def held_by(dock: Crossdock) -> list[str]:
    """Where the canary is among the objects of a service."""
    container = dock.container
    parts = (container.settings(), container.weather(), container.http(), container.health(), container.get_weather())
    return in_objects(*parts, container.outside_counts(), dock.app.state)


@pytest.mark.parametrize("logged", ["json"], indirect=True)  # on a terminal: above, and below
async def test_no_fault_shows_the_key_anywhere_in_the_service(server: WeatherServer, logged: Logged) -> None:
    """A service for each fault, a few at a time; only then are they searched, which takes time from everybody."""
    asyncio.get_running_loop().set_debug(True)
    server.always(as_named)
    cases = [*FAULTS, "Berlin", "Nowhere"]
    some = asyncio.Semaphore(8)
    found: list[str] = []
    async with AsyncExitStack() as services:

        async def asked(case: str) -> tuple[Crossdock, NotedCache]:
            async with some:
                dock, cache, http = await services.enter_async_context(service_with(server))
                told = await everything_told_by(dock, case)
                await nothing_under_way(http)
            found.extend(f"{case}: {path}" for path, text in told if CANARY in text)
            return dock, cache

        for case, (dock, cache) in zip(cases, await asyncio.gather(*map(asked, cases)), strict=True):
            found.extend(f"{case}: {where}" for where in held_by(dock) + cache.canaries)

    assert {one.parameter("q") for one in server.asked} == set(cases)
    assert {one.parameter("appid") for one in server.asked} == {CANARY}
    assert found == []
    assert logged.canaries == []
    assert "weather" in logged.formatted.getvalue()


# The process


@pytest.fixture
async def provider() -> AsyncIterator[WeatherServer]:
    async with WeatherServer() as server:
        server.next(FAULTS["the question again"], FAULTS["a refusal that quotes the question"])
        yield server


def settings(server: WeatherServer) -> dict[str, str]:
    return {
        "CROSSDOCK_WEATHER": "openweather",
        "OPEN_WEATHER_API_KEY": CANARY,
        "OPEN_WEATHER_URL": server.openweather_url,
    }


def arguments_of(pid: int) -> bytes:
    """What everybody on the machine sees of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("format", FORMATS)
async def test_a_process_shows_it_neither_in_its_log_nor_in_its_arguments(
    tmp_path: Path, provider: WeatherServer, format: str
) -> None:
    more = {"CROSSDOCK_LOG_LEVEL": "debug", "CROSSDOCK_LOG_FORMAT": format}
    with Service(tmp_path, **settings(provider), **more) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
            answers = [await client.get(f"/weather/{city}") for city in ("Berlin", "Paris", "Nowhere")]
            answers += [await client.get(path) for path in ("/metrics", "/readyz")]
        arguments = [arguments_of(one.pid) for one in service.family()]
        await asyncio.to_thread(service.end)

    assert {asked.parameter("appid") for asked in provider.asked} == {CANARY}
    assert [answer.url for answer in answers if CANARY in f"{answer.headers} {answer.text}"] == []
    assert [line for line in service.log.splitlines() if CANARY in line] == []
    assert any(b"entrypoints.cli" in line for line in arguments)
    assert not any(CANARY.encode() in line for line in arguments)


@pytest.mark.parametrize("arguments", [("config",), ("config", "--json"), ("up", "--help"), ("config", "--no-such")])
def test_the_command_line_does_not_show_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    environment = {
        **{name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ},
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OPEN_WEATHER_API_KEY": CANARY,
    }

    ran = subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert CANARY.encode() not in ran.stdout + ran.stderr
    if arguments == ("config", "--json"):
        assert json.loads(ran.stdout)["OPEN_WEATHER_API_KEY"]["value"] == "***"


@pytest.mark.parametrize("key", [f"{CANARY}\u00e9", f"{CANARY} {CANARY}", CANARY * 20])
def test_a_key_that_is_refused_is_not_quoted(tmp_path: Path, key: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "OPEN_WEATHER_API_KEY": key}

    ran = subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", "config"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 2
    assert b"OPEN_WEATHER_API_KEY" in ran.stdout + ran.stderr
    assert CANARY.encode() not in ran.stdout + ran.stderr


# The hunts find what is there


def leaks_in_its_words() -> None:
    raise Unavailable(f"https://weather.example/?appid={CANARY} did not answer")


def leaks_in_its_cause() -> None:
    try:
        leaks_in_its_words()
    except Unavailable as error:
        raise Unavailable("the provider did not answer") from error


def leaks_behind_its_back() -> None:
    try:
        leaks_in_its_words()
    except Unavailable:
        raise Unavailable("the provider did not answer") from None


def leaks_in_a_local_value() -> None:
    address = "-".join(("canary0f5a9c7e1b3d"[:6], ""))[:6] + CANARY[6:]
    raise Unavailable(f"{len(address)} characters")


def leaks_in_a_note() -> None:
    error = Unavailable("the provider did not answer")
    error.add_note(CANARY)
    raise error


@pytest.mark.parametrize(
    "leak", [leaks_in_its_words, leaks_in_its_cause, leaks_behind_its_back, leaks_in_a_local_value, leaks_in_a_note]
)
def test_the_hunt_through_errors_finds_one(leak: Callable[[], None]) -> None:
    with pytest.raises(Unavailable) as raised:
        leak()

    raised.value.__traceback__ = raised.tb.tb_next  # the frame of this test knows what it tests
    assert in_error(raised.value)


@pytest.mark.parametrize(
    "leak",
    [
        lambda: logging.getLogger("httpx").debug("HTTP Request: GET %s", httpx.URL(f"http://x/?key={CANARY}")),
        lambda: logging.getLogger("any.library").log(1, "%s", CANARY),
        lambda: logging.getLogger("any").warning("failed", extra={"address": CANARY}),
        lambda: structlog.get_logger("crossdock.any").debug("asked", address=f"http://x/{CANARY}"),
    ],
)
def test_the_hunt_through_logs_finds_one(logged: Logged, leak: Callable[[], None]) -> None:
    leak()

    assert logged.canaries


def test_the_hunt_through_logs_finds_one_in_the_locals_of_an_error(logged: Logged) -> None:
    try:
        leaks_in_a_local_value()
    except Unavailable:
        logging.getLogger("any").exception("failed")

    assert any(line.startswith("raw") for line in logged.canaries)


class Holder:
    def __init__(self, held: object) -> None:
        self.held = held


@pytest.mark.parametrize(
    "held",
    [
        CANARY,
        {"a": [(CANARY.encode(),)]},
        bytearray(f"GET /?appid={CANARY}".encode()),
        partial(print, CANARY),
        Holder(Holder(httpx.URL(f"http://127.0.0.1/?appid={CANARY}"))),
        lambda address=CANARY: address,
        httpx.Request("GET", f"http://127.0.0.1/?appid={CANARY}"),
    ],
)
def test_the_hunt_through_objects_finds_one(held: object) -> None:
    assert in_objects(Holder(held))


def test_the_hunt_through_objects_lets_it_be_where_it_may_be() -> None:
    assert in_objects(Holder(SecretStr(CANARY))) == []


async def test_the_hunt_through_the_cache_finds_one(clock: ManualClock) -> None:
    cache = NotedCache(clock)

    await cache.get(f"weather:{CANARY}")
    await cache.put("weather:berlin", f'{{"asked": "{CANARY}"}}'.encode(), seconds=1)

    assert len(cache.canaries) == 2
