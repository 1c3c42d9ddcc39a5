"""The stand-in server, clients with patience for a test, and the questions of the drivers."""

from collections.abc import AsyncIterator

import pytest

from adapters.http_client import HttpClient
from tests.certificates import NOBODY_TRUSTED
from tests.clock import ManualClock
from tests.integration.weather.questions import QUESTIONS, Question
from tests.stand_ins.weather_server import WeatherServer


@pytest.fixture
def clock() -> ManualClock:
    """Tells the time; what waits for the network waits in real time, with tiny limits where a test lets it fail."""
    return ManualClock()


@pytest.fixture
async def server() -> AsyncIterator[WeatherServer]:
    async with WeatherServer() as server:
        yield server


@pytest.fixture
async def http(clock: ManualClock) -> AsyncIterator[HttpClient]:
    client = HttpClient(clock, tls=NOBODY_TRUSTED)
    await client.start()
    yield client
    await client.stop()


@pytest.fixture
async def hasty(clock: ManualClock) -> AsyncIterator[HttpClient]:
    """A client with hardly any patience, for providers that would wear it out."""
    client = HttpClient(
        clock, connections=2, connect_seconds=1.0, wait_seconds=0.5, call_seconds=1.0, tls=NOBODY_TRUSTED
    )
    await client.start()
    yield client
    await client.stop()


@pytest.fixture(params=QUESTIONS)
def question(request: pytest.FixtureRequest) -> Question:
    """Each request of each driver, one after the other."""
    return QUESTIONS[request.param]
