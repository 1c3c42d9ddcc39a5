"""The use case asks its provider and adds nothing."""

import pytest

from adapters.weather.sample import SampleWeather
from domain.model.errors import CityNotFound
from domain.model.weather import City
from domain.services.get_weather import GetWeather
from tests.clock import ManualClock


async def test_it_tells_what_the_provider_tells() -> None:
    provider = SampleWeather(clock=ManualClock())

    assert await GetWeather(provider)(City("Berlin")) == await provider.current(City("Berlin"))


async def test_it_refuses_what_the_provider_refuses() -> None:
    get_weather = GetWeather(SampleWeather(clock=ManualClock()))

    with pytest.raises(CityNotFound):
        await get_weather(City("Nowhere"))
