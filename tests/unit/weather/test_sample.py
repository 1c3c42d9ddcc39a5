"""The made-up weather."""

import pytest

from adapters.weather.sample import SampleWeather
from domain.model.weather import City
from tests.clock import ManualClock
from tests.contracts.weather import WeatherContract


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class TestSampleWeather(WeatherContract):
    @pytest.fixture
    def weather(self, clock: ManualClock) -> SampleWeather:
        return SampleWeather(clock=clock)


async def test_it_says_that_it_is_made_up(clock: ManualClock) -> None:
    now = await SampleWeather(clock=clock).current(City("Berlin"))

    assert now.provider == "sample"


async def test_its_answers_never_change(clock: ManualClock) -> None:
    before = await SampleWeather(clock=clock).current(City("Berlin"))
    await clock.advance(86_400)
    after = await SampleWeather(clock=clock).current(City("Berlin"))

    assert after.temperature_c == before.temperature_c == 21.9
    assert after.observed_at == before.observed_at


async def test_cities_differ(clock: ManualClock) -> None:
    weather = SampleWeather(clock=clock)

    answers = {(await weather.current(City(f"City {number}"))).temperature_c for number in range(50)}

    assert len(answers) > 25
