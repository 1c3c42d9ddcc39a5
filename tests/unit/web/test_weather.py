from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from domain.model.errors import CityNotFound, WeatherNotConfigured
from domain.model.weather import Weather
from ports.errors import Rejected, Unavailable
from ports.trouble import Cause
from tests.unit.web.parts import Parts
from tests.unit.web.talk import locations, pointers, problem


def _told(parts: Parts) -> Weather:
    assert isinstance(parts.provider.says, Weather)
    return parts.provider.says


async def test_the_weather_is_told_with_its_units_in_the_names(client: httpx.AsyncClient, parts: Parts) -> None:
    answer = await client.get("/weather/Reykjavík")

    assert answer.status_code == 200
    assert parts.provider.asked == ["Reykjavík"]
    assert answer.json() == {
        "city": "Reykjavík",
        "country": "IS",
        "observed_at": "2026-11-23T04:55:00.000000Z",
        "temperature_c": -1.5,
        "feels_like_c": -6.0,
        "humidity_percent": 81,
        "pressure_hpa": 1003.0,
        "wind_speed_m_s": 7.2,
        "conditions": "light snow",
        "provider": "sample",
        "retrieved_at": "2026-11-23T05:00:00.000000Z",
        "stale": False,
    }


async def test_caches_may_keep_the_weather_as_long_as_it_is_fresh(client: httpx.AsyncClient, parts: Parts) -> None:
    await parts.time.advance(90.7)

    answer = await client.get("/weather/Reykjavík")

    assert answer.headers["cache-control"] == "max-age=600"
    assert answer.headers["age"] == "90"


async def test_no_cache_keeps_stale_weather(client: httpx.AsyncClient, parts: Parts) -> None:
    parts.provider.says = replace(_told(parts), stale=True)

    answer = await client.get("/weather/Reykjavík")

    assert answer.json()["stale"] is True
    assert answer.headers["cache-control"] == "max-age=0"


async def test_weather_from_a_clock_ahead_of_ours_has_no_negative_age(client: httpx.AsyncClient, parts: Parts) -> None:
    parts.provider.says = replace(_told(parts), retrieved_at=parts.time.now() + timedelta(seconds=30))

    answer = await client.get("/weather/Reykjavík")

    assert answer.headers["age"] == "0"


async def test_blanks_around_and_between_are_one(client: httpx.AsyncClient, parts: Parts) -> None:
    await client.get("/weather/%20New%20%20York%20")

    assert parts.provider.asked == ["New York"]


async def test_a_name_may_hold_a_slash(client: httpx.AsyncClient, parts: Parts) -> None:
    await client.get("/weather/Biel%2FBienne")

    assert parts.provider.asked == ["Biel/Bienne"]


@pytest.mark.parametrize("city", ["", "%20", "%20%09%20", "x" * 101, "a%00b", "a%0D%0Ab", "a%E2%80%AEb", "%7F"])
async def test_a_city_that_cannot_be_one_is_refused_and_nobody_is_asked(
    client: httpx.AsyncClient, parts: Parts, city: str
) -> None:
    answer = await client.get(f"/weather/{city}")

    document = problem(answer, 422, "invalid-request")
    assert (pointers(document), locations(document)) == (["/city"], {"path"})
    assert parts.provider.asked == []


async def test_a_city_of_100_characters_is_asked_for(client: httpx.AsyncClient) -> None:
    answer = await client.get("/weather/" + "x" * 100)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (CityNotFound(), 404, "city-not-found"),
        (WeatherNotConfigured(), 503, "weather-not-configured"),
        (Rejected("401 from https://provider/?appid=SECRET"), 502, "weather-bad-answer"),
        (Unavailable("timeout at 10.1.2.3 with SECRET"), 503, "weather-unavailable"),
    ],
)
async def test_what_keeps_the_weather_from_being_told_has_a_name_and_tells_no_secret(
    client: httpx.AsyncClient, parts: Parts, error: Exception, status: int, code: str
) -> None:
    parts.provider.says = error

    answer = await client.get("/weather/Reykjavík")

    problem(answer, status, code)
    assert "SECRET" not in answer.text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Unavailable("away"), "No weather provider answers now."),
        (
            Unavailable("429", cause=Cause.LIMITED),
            "No weather provider may be asked now: a quota is spent, or a pause is wanted.",
        ),
        (WeatherNotConfigured(), "The weather provider wants an API key, and OPEN_WEATHER_API_KEY is not set."),
    ],
)
async def test_why_there_is_no_weather_is_told(
    client: httpx.AsyncClient, parts: Parts, error: Exception, told: str
) -> None:
    """Who has used up a quota is not told that somebody is away."""
    parts.provider.says = error

    answer = await client.get("/weather/Reykjavík")

    assert answer.json()["detail"] == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "10"),
        (7, "7"),
        (0.2, "1"),
        (1.5, "2"),
        (0, "10"),
        (-3, "10"),
        (1e9, "3600"),
        (float("inf"), "3600"),
        (float("nan"), "10"),
    ],
)
async def test_an_unavailable_provider_says_when_to_come_again(
    client: httpx.AsyncClient, parts: Parts, given: float | None, told: str
) -> None:
    parts.provider.says = Unavailable("429", retry_after=given)

    answer = await client.get("/weather/Reykjavík")

    assert answer.headers["retry-after"] == told
