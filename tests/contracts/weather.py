"""What every weather provider promises, whoever it asks."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from domain.model.errors import CityNotFound
from domain.model.weather import City, Weather
from ports.weather import WeatherProvider
from tests.clock import ManualClock

UNKNOWN = City("Nowhere")

# Names that mean something to an address, a query, a shell, a database or a terminal. Here they are names.
HOSTILE_NAMES = (
    "../../admin",
    "/",
    "..",
    "?",
    "Berlin?units=imperial",
    "Berlin&appid=other&q=Paris",
    "Berlin;q=Paris",
    "Berlin#fragment",
    "http://127.0.0.1/",
    "@127.0.0.1",
    "%2e%2e%2f",
    "%00",
    "%",
    "+",
    "a+b c",
    "'; DROP TABLE cities; --",
    "<script>alert(1)</script>",
    "${jndi:ldap://127.0.0.1/}",
    "{city}",
    "%s%n",
    "東京",
    "Zürich",
    "Zu\u0308rich",
    "Kraków",
    "Ağrı",
    "क्षेत्र\u200d",
    "🏙️",
    "x" * 100,
    "🏙" * 100,
)


MANY = tuple(City(f"City {number}") for number in range(50))


class WeatherContract:
    """Wants two fixtures: ``clock``, and ``weather``, which reads that clock and knows Berlin.

    Stand-ins know every city but Nowhere and call it as they were asked; one that speaks of the world declares what it
    knows.
    """

    unknown = UNKNOWN
    many: Sequence[City] = MANY
    knows_every_name = True

    async def test_it_tells_the_weather_of_a_city_in_plausible_values(self, weather: WeatherProvider) -> None:
        now = await weather.current(City("Berlin"))

        assert isinstance(now, Weather)
        assert now.city == "Berlin"
        assert now.country is None or len(now.country) == 2
        assert -60 <= now.temperature_c <= 60
        assert -80 <= now.feels_like_c <= 80
        assert 0 <= now.humidity_percent <= 100
        assert 850 <= now.pressure_hpa <= 1100
        assert 0 <= now.wind_speed_m_s <= 120
        assert now.conditions
        assert now.provider
        assert now.stale is False

    async def test_its_times_are_utc_and_it_says_when_it_asked(
        self, weather: WeatherProvider, clock: ManualClock
    ) -> None:
        now = await weather.current(City("Berlin"))

        assert now.observed_at.utcoffset() == timedelta(0)
        assert now.retrieved_at.utcoffset() == timedelta(0)
        assert now.retrieved_at == clock.now()

    async def test_a_city_that_does_not_exist_is_not_found(self, weather: WeatherProvider) -> None:
        with pytest.raises(CityNotFound):
            await weather.current(self.unknown)

    async def test_a_city_that_was_not_found_spoils_nothing(self, weather: WeatherProvider) -> None:
        with pytest.raises(CityNotFound):
            await weather.current(self.unknown)

        assert (await weather.current(City("Berlin"))).city == "Berlin"

    async def test_spellings_that_differ_in_case_mean_one_city(self, weather: WeatherProvider) -> None:
        spellings = [await weather.current(City(name)) for name in ("Berlin", "BERLIN", " berlin ")]

        assert len({now.temperature_c for now in spellings}) == 1

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    async def test_any_name_is_only_a_name(self, weather: WeatherProvider, name: str) -> None:
        try:
            now = await weather.current(City(name))
        except CityNotFound:
            assert not self.knows_every_name
        else:
            assert now.city == City(name).name or not self.knows_every_name

    async def test_many_may_ask_at_once(self, weather: WeatherProvider) -> None:
        answers = await asyncio.gather(*(weather.current(city) for city in self.many))

        assert [now.city for now in answers] == [city.name for city in self.many]
