"""Whatever a city is called, the provider is asked at its one address, with the name as the value of one parameter."""

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.cache.memory import MemoryCache
from adapters.http_client import HttpClient
from adapters.weather.open_meteo import OpenMeteo
from adapters.weather.openweather import OpenWeather
from domain.model.errors import InvalidValue
from domain.model.weather import City
from tests.clock import ManualClock
from tests.stand_ins.weather_server import FORECAST_PATH, GEOCODING_PATH, OPENWEATHER_PATH, WeatherServer


def is_a_city(name: str) -> bool:
    try:
        City(name)
    except InvalidValue:
        return False
    return True


SPECIAL = st.sampled_from("%&=?#/\\+;:@ .,'\"<>{}[]()*!~^|`$\u200d\u00a0é中🙂0Aa")
CITIES = (
    st.one_of(st.text(min_size=1, max_size=100), st.text(SPECIAL, min_size=1, max_size=100))
    .filter(is_a_city)
    .map(City)
    .filter(lambda city: city.key != "nowhere")
)
SHARED_SERVER = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@SHARED_SERVER
@given(city=CITIES)
@example(city=City("../../admin?appid=other&q=x#y"))
@example(city=City("%2e%2e%2f%26q%3dx"))
async def test_openweather_is_asked_for_the_city_and_nothing_else(
    server: WeatherServer, http: HttpClient, clock: ManualClock, city: City
) -> None:
    server.asked.clear()
    weather = OpenWeather(url=server.openweather_url, api_key="a key", http=http, clock=clock)

    now = await weather.current(city)

    (asked,) = server.asked
    assert asked.path == OPENWEATHER_PATH
    assert sorted(asked.query) == sorted([("appid", "a key"), ("q", city.name), ("units", "metric")])
    assert now.city == city.name


@SHARED_SERVER
@given(city=CITIES)
@example(city=City("../../admin?count=100&name=x#y"))
@example(city=City("%2e%2e%2f%26name%3dx"))
async def test_open_meteo_is_asked_for_the_city_and_nothing_else(
    server: WeatherServer, http: HttpClient, clock: ManualClock, city: City
) -> None:
    server.asked.clear()
    weather = OpenMeteo(
        geocoding_url=server.geocoding_url,
        forecast_url=server.forecast_url,
        http=http,
        cache=MemoryCache(clock),
        clock=clock,
    )

    now = await weather.current(city)

    where, what = server.asked
    assert where.path == GEOCODING_PATH
    assert sorted(where.query) == sorted([("name", city.name), ("count", "1"), ("language", "en"), ("format", "json")])
    assert what.path == FORECAST_PATH
    assert now.city == city.name
