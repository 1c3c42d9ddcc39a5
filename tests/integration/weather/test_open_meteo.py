"""Open-Meteo, as the stand-in speaks it."""

from datetime import UTC, datetime

import pytest

from adapters.cache.memory import MemoryCache
from adapters.http_client import HttpClient
from adapters.weather.open_meteo import PLACE_SECONDS, OpenMeteo
from domain.model.errors import CityNotFound
from domain.model.weather import City, Weather
from ports.errors import Rejected
from tests.clock import ManualClock
from tests.contracts.weather import UNKNOWN, WeatherContract
from tests.stand_ins.weather_server import FORECAST_PATH, GEOCODING_PATH, WeatherServer, answers, forecast, places

BERLIN = City("Berlin")


@pytest.fixture
def cache(clock: ManualClock) -> MemoryCache:
    return MemoryCache(clock)


@pytest.fixture
def weather(server: WeatherServer, http: HttpClient, cache: MemoryCache, clock: ManualClock) -> OpenMeteo:
    return OpenMeteo(
        geocoding_url=server.geocoding_url, forecast_url=server.forecast_url, http=http, cache=cache, clock=clock
    )


class TestOpenMeteo(WeatherContract):
    """The promises of the port."""


async def test_it_reads_the_answer(weather: OpenMeteo, clock: ManualClock) -> None:
    assert await weather.current(BERLIN) == Weather(
        city="Berlin",
        country="DE",
        observed_at=datetime(2026, 11, 23, 3, 15, tzinfo=UTC),
        temperature_c=11.3,
        feels_like_c=9.8,
        humidity_percent=81,
        pressure_hpa=1015.2,
        wind_speed_m_s=3.6,
        conditions="slight rain",
        provider="open_meteo",
        retrieved_at=clock.now(),
    )


async def test_it_asks_where_the_city_lies_and_then_for_the_weather_there(
    weather: OpenMeteo, server: WeatherServer
) -> None:
    await weather.current(City("São Paulo & co"))

    where, what = server.asked
    assert where.path == GEOCODING_PATH
    assert sorted(where.query) == [("count", "1"), ("format", "json"), ("language", "en"), ("name", "São Paulo & co")]
    assert what.path == FORECAST_PATH
    assert what.parameter("latitude") == "52.52437"
    assert what.parameter("longitude") == "13.41053"
    assert what.parameter("wind_speed_unit") == "ms"
    assert what.parameter("timezone") == "GMT"
    assert "São" not in what.target


async def test_where_a_city_lies_is_asked_once_a_month(
    weather: OpenMeteo, server: WeatherServer, clock: ManualClock
) -> None:
    await weather.current(BERLIN)
    await clock.advance(PLACE_SECONDS - 1)
    await weather.current(City("BERLIN"))
    within = [asked.path for asked in server.asked]

    await clock.advance(1)
    await weather.current(BERLIN)

    assert within == [GEOCODING_PATH, FORECAST_PATH, FORECAST_PATH]
    assert [asked.path for asked in server.asked[3:]] == [GEOCODING_PATH, FORECAST_PATH]


@pytest.mark.parametrize("poison", [b"", b"null", b'{"name": "Berlin", "latitude": 999.0, "longitude": 0.0}'])
async def test_a_poisoned_place_counts_as_none(
    server: WeatherServer, http: HttpClient, clock: ManualClock, poison: bytes
) -> None:
    class Poisoned(MemoryCache):
        async def get(self, key: str) -> bytes | None:
            await super().get(key)
            return poison

    weather = OpenMeteo(
        geocoding_url=server.geocoding_url,
        forecast_url=server.forecast_url,
        http=http,
        cache=Poisoned(clock),
        clock=clock,
    )

    await weather.current(BERLIN)

    assert [asked.path for asked in server.asked] == [GEOCODING_PATH, FORECAST_PATH]


@pytest.mark.parametrize("body", [{"generationtime_ms": 0.6}, {}, {"results": [], "generationtime_ms": 0.6}])
async def test_no_results_mean_that_there_is_no_such_city(
    weather: OpenMeteo, server: WeatherServer, body: object
) -> None:
    server.next(answers(body))

    with pytest.raises(CityNotFound):
        await weather.current(BERLIN)


async def test_what_was_not_found_is_asked_for_again(weather: OpenMeteo, server: WeatherServer) -> None:
    for _ in range(2):
        with pytest.raises(CityNotFound):
            await weather.current(UNKNOWN)

    assert len(server.asked) == 2


async def test_a_404_means_that_there_is_no_such_city(weather: OpenMeteo, server: WeatherServer) -> None:
    server.next(answers({"error": True, "reason": "not found"}, status=404))

    with pytest.raises(CityNotFound):
        await weather.current(BERLIN)


async def test_the_first_of_several_places_is_meant(weather: OpenMeteo, server: WeatherServer) -> None:
    place = {"name": "Paris", "latitude": 48.85341, "longitude": 2.3488, "country_code": "FR"}
    other = {"name": "Paris", "latitude": 33.66094, "longitude": -95.55551, "country_code": "US"}
    server.next(answers({"results": [place, other]}))

    assert (await weather.current(City("Paris"))).country == "FR"


@pytest.mark.parametrize(
    "body",
    [
        {"error": True, "reason": "no"},
        {"results": None},
        {"results": {}},
        {"results": ["Berlin"]},
        {"results": [{"name": "Berlin", "latitude": "52.5", "longitude": 13.4}]},
        {"results": [{"name": "Berlin", "latitude": 52.5}]},
        {"results": [{"name": "Berlin", "latitude": 90.1, "longitude": 0.0}]},
        {"results": [{"name": "Berlin", "latitude": float("nan"), "longitude": 0.0}]},
        {"results": [{"name": "", "latitude": 52.5, "longitude": 13.4}]},
        {"results": [{"name": "Berlin", "latitude": 52.5, "longitude": 13.4, "country_code": "Germany"}]},
    ],
)
async def test_a_place_of_another_shape_is_rejected_and_not_remembered(
    weather: OpenMeteo, server: WeatherServer, body: object
) -> None:
    server.next(answers(body))

    with pytest.raises(Rejected, match="cannot be used"):
        await weather.current(BERLIN)
    await weather.current(BERLIN)

    assert [asked.path for asked in server.asked] == [GEOCODING_PATH, GEOCODING_PATH, FORECAST_PATH]


@pytest.mark.parametrize(
    "units",
    [
        {"temperature_2m": "°F"},
        {"apparent_temperature": "°F"},
        {"wind_speed_10m": "km/h"},
        {"pressure_msl": "inHg"},
        {"relative_humidity_2m": "1"},
        {"time": "unixtime"},
    ],
)
async def test_other_units_are_rejected(weather: OpenMeteo, server: WeatherServer, units: dict[str, str]) -> None:
    server.next(answers(places("Berlin")), answers(forecast(units=units)))

    with pytest.raises(Rejected, match="current_units"):
        await weather.current(BERLIN)


@pytest.mark.parametrize(
    "current",
    [
        {"time": "2026-11-23T03:15+01:00"},
        {"time": "2026-11-23T03:15Z"},
        {"time": "2026-13-23T03:15"},
        {"time": "1795392000"},
        {"time": 1795392000},
        {"time": None},
        {"temperature_2m": None},
        {"temperature_2m": "11.3"},
        {"apparent_temperature": float("nan")},
        {"relative_humidity_2m": 101},
        {"pressure_msl": -1.0},
        {"wind_speed_10m": -1.0},
        {"weather_code": 100},
        {"weather_code": 61.5},
        {"weather_code": "61"},
    ],
)
async def test_values_of_another_type_are_rejected(
    weather: OpenMeteo, server: WeatherServer, current: dict[str, object]
) -> None:
    server.next(answers(places("Berlin")), answers(forecast(current=current)))

    with pytest.raises(Rejected, match="cannot be used"):
        await weather.current(BERLIN)


async def test_times_of_another_zone_are_rejected(weather: OpenMeteo, server: WeatherServer) -> None:
    server.next(answers(places("Berlin")), answers({**forecast(), "utc_offset_seconds": 3600}))

    with pytest.raises(Rejected, match="utc_offset_seconds"):
        await weather.current(BERLIN)


@pytest.mark.parametrize(
    ("codes", "word"),
    [
        ([0, 1], "clear"),
        ([2, 3], "c"),
        ([45, 48], "fog"),
        (range(51, 58, 2), "drizzle"),
        ([56], "freezing drizzle"),
        ([61, 63, 65], "rain"),
        ([66, 67], "freezing rain"),
        ([71, 73, 75, 77], "snow"),
        ([80, 81, 82], "rain showers"),
        ([85, 86], "snow showers"),
        (range(95, 100), "thunderstorm"),
        ([4, 50, 94], "unknown"),
    ],
)
async def test_the_codes_of_the_wmo_have_words(
    weather: OpenMeteo, server: WeatherServer, codes: list[int], word: str
) -> None:
    server.next(answers(places("Berlin")), *(answers(forecast(code=code)) for code in codes))

    told = [(await weather.current(BERLIN)).conditions for _ in codes]

    assert all(word in conditions for conditions in told)
