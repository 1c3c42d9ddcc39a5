"""The drivers beside what the real providers say.

By default what was recorded is played again. ``WEATHER_LIVE=1`` asks the providers themselves: Open-Meteo, and
OpenWeather when ``OPEN_WEATHER_API_KEY`` is set. With ``WEATHER_RECORD=<folder>`` besides, their answers are kept
there; `tests/recordings/weather` is where the default run reads.
"""

import dataclasses
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.cache.memory import MemoryCache
from adapters.clock import SystemClock
from adapters.http_client import HttpClient
from adapters.outside.metered import Http
from adapters.weather.open_meteo import OpenMeteo
from adapters.weather.openweather import OpenWeather
from domain.model.errors import CityNotFound
from domain.model.weather import City
from ports.clock import Clock
from ports.errors import PortError
from ports.weather import WeatherProvider
from tests.certificates import NOBODY_TRUSTED
from tests.clock import ManualClock
from tests.contracts.weather import WeatherContract
from tests.integration.weather.questions import open_meteo, openweather
from tests.integration.weather.recordings import FOLDER, Exchange, Recorder, Recording
from tests.stand_ins.weather_server import FORECAST_PATH, WeatherServer

LIVE = os.environ.get("WEATHER_LIVE") == "1"
RECORD = os.environ.get("WEATHER_RECORD")
KEY = os.environ.get("OPEN_WEATHER_API_KEY")

PROVIDERS = ("openweather", "open_meteo")


def driver(provider: str, origin: str, http: Http, clock: Clock) -> WeatherProvider:
    return openweather(origin, http, clock) if provider == "openweather" else open_meteo(origin, http, clock)


def real(provider: str, http: Http, clock: Clock) -> WeatherProvider:
    """The driver that asks the provider itself."""
    if provider == "openweather":
        url = os.environ.get("OPEN_WEATHER_URL", "https://api.openweathermap.org/data/2.5/weather")
        return OpenWeather(url=url, api_key=KEY, http=http, clock=clock)
    where = os.environ.get("OPEN_METEO_GEOCODING_URL", "https://geocoding-api.open-meteo.com/v1/search")
    what = os.environ.get("OPEN_METEO_FORECAST_URL", "https://api.open-meteo.com/v1/forecast")
    return OpenMeteo(geocoding_url=where, forecast_url=what, http=http, cache=MemoryCache(clock), clock=clock)


def is_asked(provider: str) -> bool:
    return LIVE and (provider != "openweather" or bool(KEY))


async def as_it_answers(provider: str, clock: ManualClock) -> AsyncIterator[WeatherProvider]:
    """The driver before the real provider, or before what was recorded of it."""
    http = HttpClient(clock, connections=4, tls=None if is_asked(provider) else NOBODY_TRUSTED)
    await http.start()
    try:
        if is_asked(provider):
            about = f"What {provider} answered on {SystemClock().now():%Y-%m-%d}."
            recording = Recording.continued(Path(RECORD, f"{provider}.json"), about) if RECORD else Recording(about)
            yield real(provider, Recorder(http, recording), clock)
            if RECORD:
                recording.write(Path(RECORD, f"{provider}.json"))
        else:
            async with WeatherServer() as server:
                server.always(Recording.read(FOLDER / f"{provider}.json").replay)
                yield driver(provider, server.origin, http, clock)
    finally:
        await http.stop()


class _OfTheWorld(WeatherContract):
    """What the providers know, who do not invent cities. Some 45 questions, fewer than OpenWeather allows a minute."""

    unknown = City("Qxzvwkjh")
    many = tuple(map(City, ("Berlin", "Paris", "Madrid", "Rome", "Vienna", "Dublin")))
    knows_every_name = False


class TestOpenWeatherAsItAnswers(_OfTheWorld):
    @pytest.fixture
    async def weather(self, clock: ManualClock) -> AsyncIterator[WeatherProvider]:
        async for weather in as_it_answers("openweather", clock):
            yield weather


class TestOpenMeteoAsItAnswers(_OfTheWorld):
    @pytest.fixture
    async def weather(self, clock: ManualClock) -> AsyncIterator[WeatherProvider]:
        async for weather in as_it_answers("open_meteo", clock):
            yield weather


# A recording and the models of its driver fit


async def misfits(provider: str, recording: Recording, clock: ManualClock) -> list[str]:
    """Each exchange that the driver cannot use, by its name, with what is wrong; and those that nobody asks for."""
    http = HttpClient(clock, tls=NOBODY_TRUSTED)
    await http.start()
    found, used = [], set[str]()
    try:
        async with WeatherServer() as server:
            server.always(recording.replay)
            for exchange in recording.exchanges:
                city = exchange.parameters.get("q") or exchange.parameters.get("name")
                if city is None:
                    continue  # the second question of a city
                server.asked.clear()
                try:
                    await driver(provider, server.origin, http, clock).current(City(city))
                except CityNotFound:
                    pass
                except PortError as error:
                    found.append(f"{exchange.name}: {error}")
                used |= {one.name for asked in server.asked if (one := _of(recording, asked.path, dict(asked.query)))}
    finally:
        await http.stop()
    return found + [f"{one.name}: is not asked for" for one in recording.exchanges if one.name not in used]


def _of(recording: Recording, path: str, query: dict[str, str]) -> Exchange | None:
    query.pop("appid", None)
    return recording.answer_to(path, query)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_was_recorded_fits_the_driver(provider: str, clock: ManualClock) -> None:
    recording = Recording.read(FOLDER / f"{provider}.json")

    assert await misfits(provider, recording, clock) == []
    assert {exchange.status for exchange in recording.exchanges} >= {200}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_recording_holds_a_key_or_a_secret_parameter(provider: str) -> None:
    text = (FOLDER / f"{provider}.json").read_text(encoding="utf-8")

    assert "appid" not in text.replace("Berlin&appid=other&q=Paris", "")  # a city of the contract
    assert not KEY or KEY not in text


async def test_a_recording_that_no_longer_fits_is_told_by_its_name(clock: ManualClock) -> None:
    """Each provider has changed its answer for one city: that one is named, with the place, and no other."""
    changed = {"openweather": Recording.read(FOLDER / "openweather.json")}
    changed["open_meteo"] = Recording.read(FOLDER / "open_meteo.json")
    berlin = changed["openweather"].answer_to("/data/2.5/weather", {"q": "Berlin", "units": "metric"})
    assert berlin is not None
    as_text = json.loads(json.dumps(berlin.body).replace('"temp":', '"temperature":'))
    changed["openweather"].note(dataclasses.replace(berlin, body=as_text))
    there = next(one for one in changed["open_meteo"].exchanges if one.path == FORECAST_PATH)
    in_fahrenheit = json.loads(json.dumps(there.body).replace("\\u00b0C", "\\u00b0F"))
    changed["open_meteo"].note(dataclasses.replace(there, body=in_fahrenheit))

    found = {provider: await misfits(provider, recording, clock) for provider, recording in changed.items()}

    assert found["openweather"] == ["/data/2.5/weather Berlin: 127.0.0.1 sent an answer that cannot be used: main.temp"]
    assert found["open_meteo"]
    assert all("current_units.temperature_2m" in line for line in found["open_meteo"])
    assert len(found["open_meteo"]) < len(changed["open_meteo"].exchanges) / 2


async def test_what_is_recorded_is_said_again(
    server: WeatherServer, http: HttpClient, clock: ManualClock, tmp_path: Path
) -> None:
    """A provider (here the stand-in) is recorded into a file, and the file answers as it did, without the key."""
    path = tmp_path / "folder" / "any.json"
    said = {}
    for provider in PROVIDERS:
        recording = Recording("a test", Recording.read(path).exchanges if path.exists() else [])
        weather = driver(provider, server.origin, Recorder(http, recording), clock)
        said[provider] = await weather.current(City("Kraków & co"))
        with pytest.raises(CityNotFound):
            await weather.current(City("Nowhere"))
        recording.write(path)

    async with WeatherServer() as again:
        again.always(Recording.read(path).replay)
        for provider in PROVIDERS:
            weather = driver(provider, again.origin, http, clock)
            assert await weather.current(City("Kraków & co")) == said[provider]
            with pytest.raises(CityNotFound):
                await weather.current(City("Nowhere"))

    assert "a key" not in path.read_text(encoding="utf-8")
    assert "appid" not in path.read_text(encoding="utf-8")


async def test_what_was_not_recorded_is_not_invented(http: HttpClient, clock: ManualClock) -> None:
    async with WeatherServer() as server:
        server.always(Recording("nothing").replay)

        with pytest.raises(PortError, match="501"):
            await driver("openweather", server.origin, http, clock).current(City("Berlin"))
