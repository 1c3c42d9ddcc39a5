"""Over TLS a provider is believed when somebody who is trusted vouches for its name today, and else asked nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from adapters.http_client import HttpClient
from domain.model.weather import City
from ports.errors import Unavailable
from ports.weather import WeatherProvider
from tests.certificates import Authority
from tests.clock import ManualClock
from tests.contracts.weather import WeatherContract
from tests.integration.weather.questions import Question, open_meteo, openweather
from tests.stand_ins.weather_server import WeatherServer

BERLIN = City("Berlin")
PATIENCE = 3.0


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def patient(clock: ManualClock, authority: Authority) -> AsyncIterator[HttpClient]:
    """A client that trusts the authority."""
    client = HttpClient(clock, tls=authority.trusted())
    await client.start()
    yield client
    await client.stop()


@pytest.fixture
async def hasty(clock: ManualClock, authority: Authority) -> AsyncIterator[HttpClient]:
    """A client that trusts the authority, and has hardly any patience."""
    client = HttpClient(clock, connect_seconds=1.0, wait_seconds=0.5, call_seconds=1.0, tls=authority.trusted())
    await client.start()
    yield client
    await client.stop()


@pytest.fixture
async def trusted(authority: Authority) -> AsyncIterator[WeatherServer]:
    async with WeatherServer(tls=authority.server()) as server:
        yield server


class TestOpenWeatherOverTls(WeatherContract):
    """The promises of the port."""

    @pytest.fixture
    def weather(self, trusted: WeatherServer, patient: HttpClient, clock: ManualClock) -> WeatherProvider:
        return openweather(trusted.origin, patient, clock)


class TestOpenMeteoOverTls(WeatherContract):
    """The promises of the port."""

    @pytest.fixture
    def weather(self, trusted: WeatherServer, patient: HttpClient, clock: ManualClock) -> WeatherProvider:
        return open_meteo(trusted.origin, patient, clock)


def faults(authority: Authority) -> dict[str, tuple[ssl.SSLContext, str]]:
    """What may be wrong with a certificate, and the words in which the operator is told."""
    return {
        "an unknown authority": (Authority().server(), "unable to get local issuer certificate"),
        "another name": (authority.server("weather.example"), "IP address mismatch"),
        "another address": (authority.server("127.0.0.2"), "IP address mismatch"),
        "expired": (authority.server(days=(-20, -1)), "certificate has expired"),
        "not valid yet": (authority.server(days=(1, 20)), "certificate is not yet valid"),
    }


async def test_a_provider_that_is_vouched_for_is_believed(
    question: Question, hasty: HttpClient, authority: Authority, clock: ManualClock
) -> None:
    async with WeatherServer(tls=authority.server()) as server:
        now = await question.build(server.origin, hasty, clock).current(BERLIN)

        assert now.city == "Berlin"
        assert server.origin.startswith("https:")
        assert server.connections == 1


@pytest.mark.parametrize(
    "fault", ["an unknown authority", "another name", "another address", "expired", "not valid yet"]
)
async def test_a_provider_that_nobody_vouches_for_is_unavailable_and_told_nothing(
    question: Question, hasty: HttpClient, authority: Authority, clock: ManualClock, fault: str
) -> None:
    context, words = faults(authority)[fault]
    async with WeatherServer(tls=context) as server:
        with pytest.raises(
            Unavailable, match=r"^127\.0\.0\.1 could not be asked: its certificate is not trusted: "
        ) as raised:
            await question.build(server.origin, hasty, clock).current(BERLIN)

        assert words in str(raised.value.__cause__)
        assert server.asked == []


async def test_with_the_roots_of_the_world_a_test_authority_is_not_trusted(
    question: Question, authority: Authority, clock: ManualClock
) -> None:
    client = HttpClient(clock)
    await client.start()

    try:
        async with WeatherServer(tls=authority.server()) as server:
            with pytest.raises(Unavailable):
                await question.build(server.origin, client, clock).current(BERLIN)
            assert server.asked == []
    finally:
        await client.stop()


async def test_a_server_that_speaks_no_tls_is_unavailable_and_told_nothing(
    question: Question, hasty: HttpClient, server: WeatherServer, clock: ManualClock
) -> None:
    with pytest.raises(Unavailable):
        await question.build(server.origin.replace("http:", "https:"), hasty, clock).current(BERLIN)

    assert server.asked == []


@asynccontextmanager
async def server_that_stops(in_the_handshake: bytes | None, *, reset: bool = False) -> AsyncIterator[str]:
    """Reads the hello of TLS, says this, and closes; or keeps silent for ever."""
    at_the_end = asyncio.Event()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if in_the_handshake is None:
            await at_the_end.wait()
        else:
            writer.write(in_the_handshake)
            await writer.drain()
        if reset:
            writer.transport.abort()
        writer.close()

    listening = await asyncio.start_server(cut, "127.0.0.1")
    try:
        yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        at_the_end.set()
        listening.close()
        await listening.wait_closed()


HANDSHAKES = {
    "cut": (b"", False),
    "reset": (b"", True),
    "cut in a record": (b"\x16\x03\x03\x00\x7a\x02\x00", False),
    "cut by an alert": (b"\x15\x03\x03\x00\x02\x02\x28", False),
    "garbage": (bytes(range(256)), False),
    "hanging": (None, False),
}


@pytest.mark.parametrize("fault", HANDSHAKES)
async def test_a_handshake_that_does_not_end_well_is_unavailable_in_time(
    question: Question, hasty: HttpClient, clock: ManualClock, fault: str
) -> None:
    said, reset = HANDSHAKES[fault]
    began = monotonic()

    async with server_that_stops(said, reset=reset) as origin:
        with pytest.raises(Unavailable):
            await question.build(origin, hasty, clock).current(BERLIN)

    assert monotonic() - began < PATIENCE


async def test_what_was_refused_once_may_be_right_the_next_time(
    question: Question, hasty: HttpClient, authority: Authority, clock: ManualClock
) -> None:
    async with WeatherServer(tls=authority.server(days=(-20, -1))) as server:
        with pytest.raises(Unavailable):
            await question.build(server.origin, hasty, clock).current(BERLIN)
        port = server.port
    async with WeatherServer(port=port, tls=authority.server()) as server:
        assert (await question.build(server.origin, hasty, clock).current(BERLIN)).city == "Berlin"
