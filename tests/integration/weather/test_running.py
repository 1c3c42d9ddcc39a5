"""The weather of the running service over real sockets: one call for a thousand, one after the other, old and new."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import httpx
import pytest

from adapters.outside.metered import PLACES
from entrypoints.testing import crossdock
from tests.integration.crashes.service import Service
from tests.integration.weather.running import BACK_WITHIN, DEADLINE, SLACK, service
from tests.stand_ins.weather_faults import FAULTS
from tests.stand_ins.weather_server import (
    FORECAST_PATH,
    GEOCODING_PATH,
    OPENWEATHER_PATH,
    Asked,
    Script,
    WeatherServer,
    answers,
    as_the_providers_do,
    hangs,
    only,
)

CONNECTIONS = 200


@pytest.fixture
def stand_in(server: WeatherServer) -> WeatherServer:
    return server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:
        yield client


# One call


async def test_a_thousand_who_ask_for_one_city_at_once_cost_one_call(stand_in: WeatherServer) -> None:
    """The answer is held back until all of them wait for it."""
    all_are_there = asyncio.Event()

    async def when_all_are_there(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await all_are_there.wait()
        await as_the_providers_do(asked, writer)

    stand_in.always(when_all_are_there)
    async with crossdock(
        CROSSDOCK_WEATHER="openweather", OPEN_WEATHER_API_KEY="any", OPEN_WEATHER_URL=stand_in.openweather_url
    ) as dock:
        callers = [asyncio.create_task(dock.client.get("/weather/Berlin")) for _ in range(1_000)]
        await stand_in.until_asked(1)
        for left in callers[:100]:  # who leaves, fails nobody else
            left.cancel()
        all_are_there.set()
        told = await asyncio.gather(*callers[100:])

    assert Counter(answer.status_code for answer in told) == {200: 900}
    assert len({answer.text for answer in told}) == 1
    assert len(stand_in.asked) == 1


async def test_it_is_one_call_over_real_connections_too(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient
) -> None:
    with service(tmp_path, stand_in, "openweather") as running:
        told = await asyncio.gather(*(client.get(f"{running.url}/weather/Berlin") for _ in range(CONNECTIONS)))

    assert Counter(answer.status_code for answer in told) == {200: CONNECTIONS}
    assert len(stand_in.asked) == 1


# One after the other


@pytest.mark.parametrize("fault", ["an outage", "a refusal", "reset", "hang"])
async def test_the_second_provider_answers_when_the_first_cannot(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient, fault: str
) -> None:
    stand_in.always(only(OPENWEATHER_PATH, FAULTS[fault]))
    with service(tmp_path, stand_in, "openweather,open_meteo") as running:
        began = monotonic()
        answer = await client.get(f"{running.url}/weather/Berlin")
        took = monotonic() - began
        stand_in.always(as_the_providers_do)
        back = await first_by("openweather", client, running)

    assert (answer.status_code, answer.json()["provider"]) == (200, "open_meteo")
    assert answer.json()["stale"] is False
    assert took < DEADLINE + SLACK
    assert back < BACK_WITHIN


async def first_by(provider: str, client: httpx.AsyncClient, running: Service) -> float:
    """Seconds until a city that nobody has asked for is answered by this provider."""
    began = monotonic()
    for number in range(200):
        answer = await client.get(f"{running.url}/weather/City {number}")
        if answer.status_code == 200 and answer.json()["provider"] == provider:
            break
        await asyncio.sleep(0.1)
    return monotonic() - began


async def test_an_unknown_city_is_an_answer_and_no_reason_to_ask_the_second(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient
) -> None:
    with service(tmp_path, stand_in, "openweather,open_meteo") as running:
        told = [await client.get(f"{running.url}/weather/Nowhere") for _ in range(3)]

    assert {answer.status_code for answer in told} == {404}
    assert [asked.path for asked in stand_in.asked] == [OPENWEATHER_PATH]  # and is remembered


async def test_without_a_key_the_second_answers(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient
) -> None:
    with service(tmp_path, stand_in, "openweather,open_meteo", OPEN_WEATHER_API_KEY="") as running:
        answer = await client.get(f"{running.url}/weather/Berlin")

    assert answer.json()["provider"] == "open_meteo"
    assert {asked.path for asked in stand_in.asked} == {GEOCODING_PATH, FORECAST_PATH}


async def test_when_none_answers_all_of_it_ends_at_the_one_deadline(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient
) -> None:
    stand_in.always(hangs)
    with service(tmp_path, stand_in, "openweather,open_meteo") as running:
        began = monotonic()
        answer = await client.get(f"{running.url}/weather/Berlin")
        took = monotonic() - began

    assert (answer.status_code, answer.json()["code"]) == (503, "weather-unavailable")
    assert float(answer.headers["Retry-After"]) > 0
    assert took < DEADLINE + SLACK


async def test_while_the_first_hangs_the_second_has_connections_of_its_own(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient
) -> None:
    """As many calls hang as one provider may have on their way; who comes then does not wait for them."""
    stand_in.always(only(OPENWEATHER_PATH, hangs))
    with service(tmp_path, stand_in, "openweather,open_meteo") as running:
        fill = [asyncio.create_task(client.get(f"{running.url}/weather/City {number}")) for number in range(PLACES)]
        await stand_in.until_asked(PLACES)
        more = await asyncio.gather(*(client.get(f"{running.url}/weather/Town {number}") for number in range(5)))
        at_the_second = [asked.path for asked in stand_in.asked].count(FORECAST_PATH)
        told = [*more, *await asyncio.gather(*fill)]

    assert Counter((answer.status_code, answer.json().get("provider")) for answer in told) == {
        (200, "open_meteo"): PLACES + 5
    }
    assert [asked.path for asked in stand_in.asked].count(OPENWEATHER_PATH) == PLACES
    assert at_the_second == 5  # those that hang did so still


# Old and new


async def until_answer(
    client: httpx.AsyncClient, url: str, *, stale: bool, within: float
) -> tuple[httpx.Response, float]:
    """The first answer that is, or is not, stale; and after how many seconds it came."""
    began = monotonic()
    while True:
        answer = await client.get(url)
        took = monotonic() - began
        if answer.status_code == 200 and answer.json()["stale"] is stale:
            return answer, took
        assert answer.status_code == 200, answer.text
        assert took < within, "it did not come"
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("fault", ["an outage", "a refusal", "hang"])
async def test_while_the_provider_is_away_the_old_answer_is_given_and_a_new_one_soon_after(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient, fault: str
) -> None:
    with service(tmp_path, stand_in, "openweather", CROSSDOCK_WEATHER_TTL="1") as running:
        url = f"{running.url}/weather/Berlin"
        first = await client.get(url)
        stand_in.always(FAULTS[fault])
        old, _ = await until_answer(client, url, stale=True, within=DEADLINE)
        began = monotonic()
        meanwhile = [await client.get(url) for _ in range(20)]
        took = monotonic() - began
        away = await client.get(f"{running.url}/weather/Paris")
        ready = await client.get(f"{running.url}/readyz")
        stand_in.always(as_the_providers_do)
        new, back = await until_answer(client, url, stale=False, within=BACK_WITHIN)

    assert first.json()["stale"] is False
    assert old.json() == {**first.json(), "stale": True}
    assert old.headers["Cache-Control"] == "max-age=0"
    assert int(old.headers["Age"]) >= 1
    assert {answer.status_code for answer in meanwhile} == {200}
    assert took < 20 * SLACK
    assert away.status_code in {502, 503}  # nothing old to give
    assert ready.status_code == 200
    assert new.json()["retrieved_at"] > first.json()["retrieved_at"]
    print(f"{fault}: 20 stale answers in {took:.2f} s, fresh again after {back:.1f} s")


async def at_once(url: str, path: str, number: int) -> list[tuple[int, bytes]]:
    """Status and body for each of so many who ask in the same moment, each over a connection that is there already."""
    address = httpx.URL(url)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    lines = [await asyncio.open_connection(address.host, address.port) for _ in range(number)]
    for _, writer in lines:
        writer.write(request)
    async with asyncio.timeout(30):
        told = await asyncio.gather(*(reader.read() for reader, _ in lines))
    for _, writer in lines:
        writer.close()
    return [(int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]) for answer in told]


async def test_a_thousand_at_once_get_the_old_answer_of_a_shared_cache(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient, redis_url: str
) -> None:
    """The cache has a few links only, and none of them is waited for for long: that must not look like a miss."""
    settings = {
        "CROSSDOCK_CACHE": "redis",
        "REDIS_URL": redis_url,
        "CROSSDOCK_TOPIC_PREFIX": f"t{secrets.token_hex(4)}.",
        "CROSSDOCK_WEATHER_TTL": "1",
    }
    with service(tmp_path, stand_in, "openweather", **settings) as running:
        url = f"{running.url}/weather/Berlin"
        await client.get(url)
        stand_in.always(FAULTS["reset"])
        await until_answer(client, url, stale=True, within=DEADLINE)
        told = await at_once(running.url, "/weather/Berlin", 1_000)

    assert Counter(status for status, _ in told) == {200: 1_000}
    assert all(json.loads(body)["stale"] for _, body in told)


# Not too often


async def test_two_processes_with_one_redis_share_the_quota(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient, redis_url: str
) -> None:
    """A hundred cities are asked of two processes, for which together 20 calls a minute are allowed."""
    settings = {
        "CROSSDOCK_CACHE": "redis",
        "REDIS_URL": redis_url,
        "CROSSDOCK_TOPIC_PREFIX": f"t{secrets.token_hex(4)}.",
        "CROSSDOCK_WEATHER_QUOTA": "20/minute",
    }
    with (
        service(tmp_path / "one", stand_in, "openweather", **settings) as one,
        service(tmp_path / "other", stand_in, "openweather", **settings) as other,
    ):
        asking = [client.get(f"{(one, other)[number % 2].url}/weather/City {number}") for number in range(100)]
        told = await asyncio.gather(*asking)
        again = await client.get(f"{one.url}/weather/City 1000")
        known = [number for number, answer in enumerate(told) if answer.status_code == 200]
        elsewhere = await client.get(f"{(other, one)[known[0] % 2].url}/weather/City {known[0]}")

    assert Counter(answer.status_code for answer in told) == {200: 20, 503: 80}
    assert len(stand_in.asked) == 20
    assert again.status_code == 503
    assert {answer.json()["code"] for answer in (*told, again) if answer.status_code == 503} == {"weather-unavailable"}
    assert all(1 <= float(answer.headers["Retry-After"]) <= 62 for answer in told if answer.status_code == 503)
    assert elsewhere.status_code == 200  # they share what is remembered as well


async def test_new_attempts_and_second_questions_count_as_well(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient
) -> None:
    broken: Script = answers({}, status=500)
    stand_in.always(only(FORECAST_PATH, broken))
    with service(tmp_path, stand_in, "open_meteo", CROSSDOCK_WEATHER_QUOTA="7/minute") as running:
        told = await asyncio.gather(*(client.get(f"{running.url}/weather/City {number}") for number in range(30)))

    assert {answer.status_code for answer in told} == {503}
    assert len(stand_in.asked) <= 7


def most_within(seconds: float, times: list[float]) -> int:
    """The most of these moments that lie within so many seconds of each other."""
    return max(sum(begin <= time < begin + seconds for time in times) for begin in times)


async def test_what_is_granted_leaves_at_once_however_long_answers_take(
    tmp_path: Path, stand_in: WeatherServer, client: httpx.AsyncClient
) -> None:
    """Grants that wait for a connection would leave together with those of the next window."""
    slow_until = monotonic()

    async def slow_at_first(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(max(0.0, slow_until - monotonic()))
        await as_the_providers_do(asked, writer)

    stand_in.always(slow_at_first)
    with service(tmp_path, stand_in, "openweather", CROSSDOCK_WEATHER_QUOTA="40/second") as running:
        await client.get(f"{running.url}/weather/Berlin")
        await asyncio.sleep(1.5)  # a whole window with none
        stand_in.asked.clear()
        slow_until = monotonic() + 1

        async def later(number: int, seconds: float) -> int:
            await asyncio.sleep(seconds)
            return (await client.get(f"{running.url}/weather/City {number}")).status_code

        told = await asyncio.gather(
            *(later(number, 0) for number in range(40)), *(later(number, 1.25) for number in range(40, 80))
        )

    assert set(told) <= {200, 503}
    assert told.count(200) >= 40
    assert most_within(1, [asked.at for asked in stand_in.asked]) <= 40
