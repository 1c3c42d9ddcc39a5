"""The stand-in server, and a client with patience for a test."""

from collections.abc import AsyncIterator

import pytest

from adapters.http_client import HttpClient
from tests.clock import ManualClock
from tests.integration.weather.tls import NOBODY_TRUSTED
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
