"""OpenWeatherMap, as the stand-in speaks it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.http_client import HttpClient
from adapters.weather.openweather import OpenWeather
from domain.model.errors import CityNotFound, WeatherNotConfigured
from domain.model.weather import City, Weather
from ports.errors import Rejected
from tests.clock import ManualClock
from tests.contracts.weather import WeatherContract
from tests.stand_ins.weather_server import OPENWEATHER_PATH, WeatherServer, answers, observation

BERLIN = City("Berlin")


@pytest.fixture
def weather(server: WeatherServer, http: HttpClient, clock: ManualClock) -> OpenWeather:
    return OpenWeather(url=server.openweather_url, api_key="a key", http=http, clock=clock)


class TestOpenWeather(WeatherContract):
    """The promises of the port."""


async def test_it_reads_the_answer(weather: OpenWeather, clock: ManualClock) -> None:
    assert await weather.current(BERLIN) == Weather(
        city="Berlin",
        country="DE",
        observed_at=datetime.fromtimestamp(1795392000, UTC),
        temperature_c=11.3,
        feels_like_c=10.6,
        humidity_percent=81,
        pressure_hpa=1015.0,
        wind_speed_m_s=3.6,
        conditions="moderate rain",
        provider="openweather",
        retrieved_at=clock.now(),
    )


async def test_it_asks_once_with_the_city_the_key_and_metric_units(weather: OpenWeather, server: WeatherServer) -> None:
    await weather.current(City("São Paulo & co"))

    (asked,) = server.asked
    assert asked.method == "GET"
    assert asked.path == OPENWEATHER_PATH
    assert sorted(asked.query) == [("appid", "a key"), ("q", "São Paulo & co"), ("units", "metric")]


async def test_a_query_in_the_configured_address_is_kept(
    server: WeatherServer, http: HttpClient, clock: ManualClock
) -> None:
    weather = OpenWeather(url=f"{server.openweather_url}?lang=en", api_key="a key", http=http, clock=clock)

    await weather.current(BERLIN)

    assert server.asked[0].parameter("lang") == "en"
    assert server.asked[0].parameter("q") == "Berlin"


@pytest.mark.parametrize("key", [None, ""])
async def test_without_a_key_it_is_not_configured_and_asks_nobody(
    server: WeatherServer, http: HttpClient, clock: ManualClock, key: str | None
) -> None:
    weather = OpenWeather(url=server.openweather_url, api_key=key, http=http, clock=clock)

    with pytest.raises(WeatherNotConfigured):
        await weather.current(BERLIN)
    assert server.asked == []


async def test_a_404_means_that_there_is_no_such_city(weather: OpenWeather, server: WeatherServer) -> None:
    server.next(answers({"cod": "404", "message": "city not found"}, status=404))

    with pytest.raises(CityNotFound):
        await weather.current(BERLIN)


async def test_a_key_that_is_refused_is_not_a_fault_of_the_caller(weather: OpenWeather, server: WeatherServer) -> None:
    server.next(answers({"cod": 401, "message": "Invalid API key: a key"}, status=401))

    with pytest.raises(Rejected, match=r"^127\.0\.0\.1 refuses our key: it answered 401$"):
        await weather.current(BERLIN)


async def test_what_may_be_missing_may_be_missing(weather: OpenWeather, server: WeatherServer) -> None:
    answer: Any = observation("Atlantic")
    for name in ("rain", "visibility", "clouds", "base", "coord", "timezone", "id", "cod"):
        del answer[name]
    del answer["wind"]["gust"]
    del answer["sys"]["country"]
    server.next(answers(answer))

    assert (await weather.current(BERLIN)).country is None


def without(*path: str | int) -> Callable[[Any], object]:
    def spoil(answer: Any) -> object:
        *parents, last = path
        for part in parents:
            answer = answer[part]
        return answer.pop(last)

    return spoil


def having(value: object, *path: str | int) -> Callable[[Any], None]:
    def spoil(answer: Any) -> None:
        *parents, last = path
        for part in parents:
            answer = answer[part]
        answer[last] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        *(without(name) for name in ("name", "dt", "weather", "main", "wind", "sys")),
        *(without("main", name) for name in ("temp", "feels_like", "humidity", "pressure")),
        without("wind", "speed"),
        without("weather", 0),
        without("weather", 0, "description"),
        having("11.3", "main", "temp"),
        having(True, "main", "temp"),
        having(None, "main", "temp"),
        having(float("nan"), "main", "temp"),
        having(float("inf"), "main", "feels_like"),
        having(284.45, "main", "temp"),  # kelvins
        having(81.5, "main", "humidity"),
        having(101, "main", "humidity"),
        having(-1, "main", "humidity"),
        having(0, "main", "pressure"),
        having(-0.1, "wind", "speed"),
        having("1795392000", "dt"),
        having(-1, "dt"),
        having(10**20, "dt"),
        having("", "name"),
        having("Ber\nlin", "name"),
        having("x" * 201, "name"),
        having("\x1b[2J", "weather", 0, "description"),
        having("Germany", "sys", "country"),
        having({}, "weather"),
        having([], "main"),
    ],
)
async def test_an_answer_of_another_shape_is_rejected(
    weather: OpenWeather, server: WeatherServer, spoil: Callable[[Any], object]
) -> None:
    answer = observation("Berlin")
    spoil(answer)
    server.next(answers(answer))

    with pytest.raises(Rejected, match="cannot be used"):
        await weather.current(BERLIN)
