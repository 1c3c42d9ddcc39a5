"""No request goes elsewhere: a provider is asked at its one address, whatever a city is called or an answer says.

A city can only ever be the value of one parameter; what an answer holds can only ever be two numbers.
"""

import contextlib
import re
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.cache.memory import MemoryCache
from adapters.http_client import HttpClient
from domain.model.errors import CityNotFound, InvalidValue
from domain.model.weather import City
from ports.errors import Rejected
from tests.clock import ManualClock
from tests.contracts.weather import HOSTILE_NAMES
from tests.integration.weather.questions import KEY, open_meteo, openweather
from tests.stand_ins.weather_server import (
    FORECAST_PATH,
    GEOCODING_PATH,
    OPENWEATHER_PATH,
    Asked,
    WeatherServer,
    answers,
    as_the_providers_do,
    observation,
)

WHERE = {"count": "1", "language": "en", "format": "json"}
WHAT = {
    "current": "temperature_2m,apparent_temperature,relative_humidity_2m,pressure_msl,wind_speed_10m,weather_code",
    "wind_speed_unit": "ms",
    "timezone": "GMT",
}
DEGREES = re.compile(r"-?[0-9]{1,3}\.[0-9]{5}")


def is_a_city(name: str) -> bool:
    try:
        City(name)
    except InvalidValue:
        return False
    return True


SPECIAL = st.sampled_from("%&=?#/\\+;:@ .,'\"<>{}[]()*!~^|`$\u200d\u00a0é中🙂0Aa")
ADDRESSES = st.sampled_from(
    [
        "http://127.0.0.1:1/",
        "https://169.254.169.254/latest/meta-data/",
        "//127.0.0.1:1",
        "@127.0.0.1:1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:1/_",
        "\\\\127.0.0.1\\share",
        "../../internal",
        "Berlin&appid=other",
        "Berlin HTTP/1.1 Host: other",
        "Berlin%0d%0aHost:%20other",
    ]
)
CITIES = (
    st.one_of(
        st.text(min_size=1, max_size=100),
        st.text(SPECIAL, min_size=1, max_size=100),
        ADDRESSES,
        st.builds("{}{}".format, st.text(SPECIAL, max_size=20), ADDRESSES),
        st.sampled_from(HOSTILE_NAMES),
    )
    .filter(is_a_city)
    .map(City)
    .filter(lambda city: city.key != "nowhere")
)
SHARED_SERVER = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def was_asked_at(asked: Asked, server: WeatherServer, path: str, parameters: Mapping[str, str]) -> bool:
    """This method, host and path, and these parameters, each once and no other."""
    return (
        (asked.method, asked.path, asked.headers["host"]) == ("GET", path, f"127.0.0.1:{server.port}")
        and sorted(asked.query) == sorted(parameters.items())
        and set(asked.headers) == {"host", "user-agent", "accept", "accept-encoding"}
    )


@SHARED_SERVER
@given(city=CITIES)
@example(city=City("../../admin?appid=other&q=x#y"))
@example(city=City("%2e%2e%2f%26q%3dx"))
async def test_openweather_is_asked_for_the_city_and_nothing_else(
    server: WeatherServer, http: HttpClient, clock: ManualClock, city: City
) -> None:
    server.asked.clear()

    now = await openweather(server.origin, http, clock).current(city)

    (asked,) = server.asked
    assert was_asked_at(asked, server, OPENWEATHER_PATH, {"appid": KEY, "q": city.name, "units": "metric"})
    assert now.city == city.name


@SHARED_SERVER
@given(city=CITIES)
@example(city=City("../../admin?count=100&name=x#y"))
@example(city=City("%2e%2e%2f%26name%3dx"))
async def test_open_meteo_is_asked_for_the_city_and_nothing_else(
    server: WeatherServer, http: HttpClient, clock: ManualClock, city: City
) -> None:
    server.asked.clear()

    now = await open_meteo(server.origin, http, clock).current(city)

    where, what = server.asked
    assert was_asked_at(where, server, GEOCODING_PATH, {"name": city.name, **WHERE})
    assert was_asked_at(what, server, FORECAST_PATH, {"latitude": "52.52437", "longitude": "13.41053", **WHAT})
    assert now.city == city.name


# What an answer says


def is_json(text: str) -> bool:
    return not any(0xD800 <= ord(character) < 0xE000 for character in text)


TEXTS = st.one_of(ADDRESSES, st.text(max_size=50), st.text(SPECIAL, max_size=50)).filter(is_json)
NUMBERS = st.one_of(st.floats(), st.floats(-200, 200), st.integers(-(10**30), 10**30))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
COORDINATES = st.one_of(st.floats(-95, 95), NUMBERS, VALUES)
PLACES = st.fixed_dictionaries(
    {"name": st.one_of(TEXTS, VALUES), "latitude": COORDINATES, "longitude": COORDINATES},
    optional={"country_code": VALUES, "url": ADDRESSES, "timezone": ADDRESSES, "id": VALUES, "forecast_url": ADDRESSES},
)


@SHARED_SERVER
@given(place=PLACES)
@example(place={"name": "x", "latitude": -0.0, "longitude": 1e-300})
@example(place={"name": "x", "latitude": 90, "longitude": -180})
@example(place={"name": "x", "latitude": "52.5&appid=x", "longitude": 13.4})
@example(place={"name": "x", "latitude": 1e22, "longitude": 13.4})
async def test_a_hostile_place_cannot_steer_the_second_question(
    server: WeatherServer, http: HttpClient, clock: ManualClock, place: Mapping[str, object]
) -> None:
    server.asked.clear()
    server.next(answers({"results": [place]}))

    try:
        await open_meteo(server.origin, http, clock).current(City("Berlin"))
    except Rejected:
        refused = True
    else:
        refused = False

    assert was_asked_at(server.asked[0], server, GEOCODING_PATH, {"name": "Berlin", **WHERE})
    if refused:
        assert len(server.asked) == 1
        return
    (what,) = server.asked[1:]
    latitude, longitude = what.parameter("latitude"), what.parameter("longitude")
    assert was_asked_at(what, server, FORECAST_PATH, {"latitude": latitude, "longitude": longitude, **WHAT})
    assert DEGREES.fullmatch(latitude)
    assert DEGREES.fullmatch(longitude)
    assert abs(float(latitude)) <= 90
    assert abs(float(longitude)) <= 180


@SHARED_SERVER
@given(poison=st.one_of(st.binary(max_size=200), PLACES.map(lambda place: str(place).replace("'", '"').encode())))
async def test_a_poisoned_memory_cannot_steer_it_either(
    server: WeatherServer, http: HttpClient, clock: ManualClock, poison: bytes
) -> None:
    class Poisoned(MemoryCache):
        async def get(self, key: str) -> bytes | None:
            await super().get(key)
            return poison

    server.asked.clear()

    await open_meteo(server.origin, http, clock, cache=Poisoned(clock)).current(City("Berlin"))

    what = server.asked[-1]
    latitude, longitude = what.parameter("latitude"), what.parameter("longitude")
    assert was_asked_at(what, server, FORECAST_PATH, {"latitude": latitude, "longitude": longitude, **WHAT})
    assert DEGREES.fullmatch(latitude)
    assert DEGREES.fullmatch(longitude)


@SHARED_SERVER
@given(location=st.one_of(ADDRESSES, TEXTS), status=st.sampled_from([300, 301, 302, 303, 305, 307, 308]), city=CITIES)
async def test_no_redirect_is_followed_wherever_it_leads(  # noqa: PLR0917 - fixtures and what was drawn
    server: WeatherServer, http: HttpClient, clock: ManualClock, location: str, status: int, city: City
) -> None:
    visible = "".join(character for character in location if " " < character < "\x7f")
    async with WeatherServer() as inside:
        headers = {"Location": visible, "Refresh": f"0; url={inside.origin}/", "Link": f"<{inside.origin}/>; rel=next"}
        for weather in (openweather(server.origin, http, clock), open_meteo(server.origin, http, clock)):
            for where_to in (visible, f"{inside.origin}/{visible}"):
                server.asked.clear()
                server.next(answers(b"", status=status, headers={**headers, "Location": where_to}))

                with pytest.raises(Rejected):
                    await weather.current(city)

                assert len(server.asked) == 1

        assert inside.connections == 0


@SHARED_SERVER
@given(name=TEXTS, city=CITIES)
async def test_what_one_answer_says_is_not_in_the_next_question(
    server: WeatherServer, http: HttpClient, clock: ManualClock, name: str, city: City
) -> None:
    """No cookie, no address, no name of an answer is kept for later."""
    visible = "".join(character for character in name if " " < character < "\x7f")
    server.asked.clear()
    headers = {"Set-Cookie": f"a={visible}", "Content-Location": visible, "Alt-Svc": f'h2="{visible}"'}
    server.next(answers({**observation("x"), "name": name}, headers=headers))
    weather = openweather(server.origin, http, clock)

    with contextlib.suppress(Rejected, CityNotFound):
        await weather.current(city)
    server.always(as_the_providers_do)
    await weather.current(City("Berlin"))

    assert was_asked_at(server.asked[-1], server, OPENWEATHER_PATH, {"appid": KEY, "q": "Berlin", "units": "metric"})
