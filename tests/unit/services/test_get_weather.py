from dataclasses import dataclass, field

import pytest

from adapters.weather.sample import SampleWeather
from domain.model.errors import CityNotFound
from domain.model.weather import City, Weather
from domain.services.get_weather import GetWeather
from ports.errors import Rejected, Unavailable
from ports.weather import WeatherProvider
from tests.clock import ManualClock


@dataclass
class FailingProvider(WeatherProvider):
    error: Exception
    asked: list[City] = field(default_factory=list)

    async def current(self, city: City) -> Weather:
        self.asked.append(city)
        raise self.error


async def test_it_tells_what_the_provider_observed(clock: ManualClock) -> None:
    provider = SampleWeather(clock=clock)

    assert await GetWeather(provider)(City("Berlin")) == await provider.current(City("Berlin"))


@pytest.mark.parametrize("error", [CityNotFound(), Unavailable("away"), Rejected("odd")])
async def test_what_the_provider_raises_is_passed_on(error: Exception) -> None:
    provider = FailingProvider(error)

    with pytest.raises(type(error)):
        await GetWeather(provider)(City("Berlin"))

    assert provider.asked == [City("Berlin")]
