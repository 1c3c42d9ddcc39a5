"""Every fault of a provider becomes the right error of the port, in time and in little memory."""

import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from email.utils import format_datetime
from time import monotonic

import pytest

from adapters.cache.memory import MemoryCache
from adapters.clock import SystemClock
from adapters.http_client import HttpClient
from adapters.weather.open_meteo import OpenMeteo
from adapters.weather.openweather import OpenWeather
from adapters.weather.resilient import ResilientWeather
from domain.model.weather import City
from ports.errors import Rejected, Unavailable
from ports.weather import WeatherProvider
from tests.clock import ManualClock
from tests.integration.weather.tls import NOBODY_TRUSTED, self_signed
from tests.stand_ins.weather_server import (
    FAULTS,
    FORECAST_PATH,
    GEOCODING_PATH,
    OPENWEATHER_PATH,
    REJECTED_FAULTS,
    UNAVAILABLE_FAULTS,
    WeatherServer,
    answers,
    hangs,
    places,
)

BERLIN = City("Berlin")
PATIENCE = 2.0  # seconds: far more than a call has, far less than a fault would like

Build = Callable[[str, HttpClient], WeatherProvider]


@pytest.fixture
async def hasty(clock: ManualClock) -> AsyncIterator[HttpClient]:
    """A client with hardly any patience, for providers that would wear it out."""
    client = HttpClient(clock, connect_seconds=0.2, wait_seconds=0.2, call_seconds=0.3, tls=NOBODY_TRUSTED)
    await client.start()
    yield client
    await client.stop()


@pytest.fixture(params=["openweather", "open_meteo"])
def build(request: pytest.FixtureRequest, clock: ManualClock) -> Build:
    """Builds a driver that asks the server of this origin."""

    def openweather(origin: str, http: HttpClient) -> WeatherProvider:
        return OpenWeather(url=origin + OPENWEATHER_PATH, api_key="a key", http=http, clock=clock)

    def open_meteo(origin: str, http: HttpClient) -> WeatherProvider:
        return OpenMeteo(
            geocoding_url=origin + GEOCODING_PATH,
            forecast_url=origin + FORECAST_PATH,
            http=http,
            cache=MemoryCache(clock),
            clock=clock,
        )

    return {"openweather": openweather, "open_meteo": open_meteo}[request.param]


@pytest.mark.parametrize("fault", UNAVAILABLE_FAULTS)
async def test_what_may_pass_is_unavailable(build: Build, hasty: HttpClient, server: WeatherServer, fault: str) -> None:
    server.always(UNAVAILABLE_FAULTS[fault])
    began = monotonic()

    with pytest.raises(Unavailable):
        await build(server.origin, hasty).current(BERLIN)

    assert monotonic() - began < PATIENCE


@pytest.mark.parametrize("fault", REJECTED_FAULTS)
async def test_what_is_no_answer_is_rejected(build: Build, http: HttpClient, server: WeatherServer, fault: str) -> None:
    server.always(REJECTED_FAULTS[fault])
    began = monotonic()

    with pytest.raises(Rejected):
        await build(server.origin, http).current(BERLIN)

    assert monotonic() - began < PATIENCE
    assert len(server.asked) == 1  # no redirect was followed


@pytest.mark.parametrize("fault", ["reset", "an outage", "not JSON", "another shape", "gzip bomb", "redirect inward"])
async def test_the_second_question_of_open_meteo_may_meet_the_same(
    server: WeatherServer, http: HttpClient, clock: ManualClock, fault: str
) -> None:
    weather = OpenMeteo(
        geocoding_url=server.geocoding_url,
        forecast_url=server.forecast_url,
        http=http,
        cache=MemoryCache(clock),
        clock=clock,
    )
    server.next(answers(places("Berlin")), FAULTS[fault])

    with pytest.raises(Unavailable if fault in UNAVAILABLE_FAULTS else Rejected):
        await weather.current(BERLIN)


@pytest.mark.parametrize("fault", ["gzip bomb", "gzip bomb that says nothing", "body without end", "too large"])
async def test_an_answer_that_is_too_large_costs_little_memory(
    build: Build, http: HttpClient, server: WeatherServer, fault: str
) -> None:
    weather = build(server.origin, http)
    server.always(REJECTED_FAULTS[fault])
    tracemalloc.start()
    try:
        with pytest.raises(Rejected):
            await weather.current(BERLIN)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * 1024 * 1024


async def test_a_refused_connection_is_unavailable(build: Build, http: HttpClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        with pytest.raises(Unavailable, match="ConnectError"):
            await build(f"http://127.0.0.1:{port}", http).current(BERLIN)


async def test_a_server_that_does_not_accept_is_unavailable(build: Build, hasty: HttpClient) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())

        with pytest.raises(Unavailable):
            await build(f"http://127.0.0.1:{full.getsockname()[1]}", hasty).current(BERLIN)


async def test_a_server_that_speaks_no_tls_is_unavailable(
    build: Build, http: HttpClient, server: WeatherServer
) -> None:
    with pytest.raises(Unavailable):
        await build(server.origin.replace("http:", "https:"), http).current(BERLIN)

    assert server.asked == []


async def test_a_certificate_that_nobody_vouches_for_is_unavailable(build: Build, http: HttpClient) -> None:
    async with WeatherServer(tls=self_signed().context) as server:
        with pytest.raises(Unavailable):
            await build(server.origin, http).current(BERLIN)

        assert server.asked == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 520, 599])
async def test_a_status_that_may_pass_is_unavailable(
    build: Build, http: HttpClient, server: WeatherServer, status: int
) -> None:
    server.always(answers({"error": True, "reason": "ours"}, status=status))

    with pytest.raises(Unavailable, match=rf"^127\.0\.0\.1 answered {status}$"):
        await build(server.origin, http).current(BERLIN)


@pytest.mark.parametrize(
    "status",
    [201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 405, 406, 410, 414, 422, 431, 451, 600],
)
async def test_any_other_status_is_rejected(build: Build, http: HttpClient, server: WeatherServer, status: int) -> None:
    server.always(answers(b"" if status in {204, 304} else {"error": True, "reason": "ours"}, status=status))

    with pytest.raises(Rejected, match=rf"^127\.0\.0\.1 answered {status}$"):
        await build(server.origin, http).current(BERLIN)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("0", 0),
        ("7", 7),
        ("86400", 60),
        ("99999999999999999999", 60),
        ("in 30 seconds", 30),
        ("in a day", 60),
        ("an hour ago", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("NaN", None),
        ("5, 10", None),
        ("\xb2", None),  # isdigit() says yes
    ],
)
async def test_every_kind_of_retry_after_is_read(
    server: WeatherServer, http: HttpClient, clock: ManualClock, header: str | None, expected: float | None
) -> None:
    weather = OpenWeather(url=server.openweather_url, api_key="a key", http=http, clock=clock)
    delays = {"in 30 seconds": 30, "in a day": 86_400, "an hour ago": -3600}
    if header in delays:
        header = format_datetime(clock.now() + timedelta(seconds=delays[header]), usegmt=True)
    server.always(answers({}, status=429, headers={} if header is None else {"Retry-After": header}))

    with pytest.raises(Unavailable) as raised:
        await weather.current(BERLIN)

    assert raised.value.retry_after == expected


async def test_an_outage_may_say_when_to_come_back(build: Build, http: HttpClient, server: WeatherServer) -> None:
    server.always(answers({}, status=503, headers={"Retry-After": "7"}))

    with pytest.raises(Unavailable) as raised:
        await build(server.origin, http).current(BERLIN)

    assert raised.value.retry_after == 7


async def test_with_everything_around_it_a_hanging_provider_ends_by_the_one_deadline(
    build: Build, http: HttpClient, server: WeatherServer
) -> None:
    server.always(hangs)
    clock = SystemClock()
    weather = ResilientWeather(
        build(server.origin, http), name="any", cache=MemoryCache(clock), clock=clock, deadline_seconds=0.1
    )
    began = monotonic()

    with pytest.raises(Unavailable):
        await weather.current(BERLIN)

    assert monotonic() - began < PATIENCE
