"""The weather over HTTP while providers fail: real drivers and all parts around them, over HTTP that a test scripts."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from adapters.http_client import Answer
from entrypoints.container import Container
from entrypoints.testing import Crossdock, crossdock
from ports.errors import Rejected, Unavailable
from tests.stand_ins.weather_server import forecast, observation, places
from tests.unit.web.talk import problem

KEY = "canary-9b1f"
CHOSEN = {"CROSSDOCK_WEATHER": "openweather,open_meteo", "OPEN_WEATHER_API_KEY": KEY}


class ScriptedHttp:
    """Answers as both providers do, and raises for a host what a test has put into ``faults``."""

    def __init__(self) -> None:
        self.faults: dict[str, Exception] = {}
        self.asked: list[str] = []

    async def get(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        secrets: Mapping[str, SecretStr] | None = None,
        expect: Collection[int] = (200,),
        before_sending: Callable[[], Awaitable[None]] | None = None,  # noqa: ARG002 - nothing is late here
    ) -> Answer:
        host = httpx.URL(url).host
        self.asked.append(host)
        if host in self.faults:
            raise self.faults[host]
        if host == "api.openweathermap.org":
            assert secrets is not None
            return _found(host, observation(parameters["q"]), expect)
        if host == "geocoding-api.open-meteo.com":
            return _found(host, places(parameters["name"]), expect)
        return _found(host, forecast(), expect)


def _found(host: str, content: object, expect: Collection[int]) -> Answer:
    assert 200 in expect
    return Answer(host, 200, json.dumps(content).encode())


FIRST, SECOND = "api.openweathermap.org", "geocoding-api.open-meteo.com"
AWAY = Unavailable("it answered 503")


@pytest.fixture
def http() -> ScriptedHttp:
    return ScriptedHttp()


def service(http: ScriptedHttp, **settings: str) -> AbstractAsyncContextManager[Crossdock]:
    def configure(container: Container) -> None:
        container.http.override(http)

    return crossdock(configure=configure, routers=(), **CHOSEN | settings)


async def get(dock: Crossdock, path: str) -> httpx.Response:
    return await dock.clock.run(dock.client.get(path))


async def weather_check(dock: Crossdock) -> dict[str, Any]:
    document: dict[str, Any] = (await dock.client.get("/readyz")).json()
    check: dict[str, Any] = document["checks"]["weather"] | {"whole": document["status"]}
    return check


async def test_the_answer_names_who_spoke(http: ScriptedHttp) -> None:
    async with service(http) as dock:
        first = await get(dock, "/weather/Berlin")
        http.faults[FIRST] = AWAY
        second = await get(dock, "/weather/Paris")

    assert (first.json()["provider"], second.json()["provider"]) == ("openweather", "open_meteo")
    assert (first.json()["stale"], second.json()["stale"]) == (False, False)


async def test_without_its_key_the_first_is_passed_over(http: ScriptedHttp) -> None:
    async with service(http, OPEN_WEATHER_API_KEY="") as dock:
        answer = await get(dock, "/weather/Berlin")

    assert answer.json()["provider"] == "open_meteo"
    assert FIRST not in http.asked


async def test_a_stale_answer_says_so_with_its_age_and_no_cache_keeps_it(http: ScriptedHttp) -> None:
    async with service(http, CROSSDOCK_WEATHER="openweather", CROSSDOCK_WEATHER_TTL="100") as dock:
        fresh = await get(dock, "/weather/Berlin")
        http.faults[FIRST] = AWAY
        await dock.clock.advance(150)
        stale = await get(dock, "/weather/Berlin")

    assert (fresh.headers["cache-control"], fresh.headers["age"]) == ("max-age=100", "0")
    assert (stale.status_code, stale.headers["cache-control"]) == (200, "max-age=0")
    assert stale.headers["age"] in {"150", "151"}  # it was tried again within the patience for it
    assert stale.json() == fresh.json() | {"stale": True}


@pytest.mark.parametrize(("stale", "status"), [("0", 503), ("49", 503), ("300", 200)])
async def test_how_long_it_may_be_given_is_a_setting(http: ScriptedHttp, stale: str, status: int) -> None:
    async with service(
        http, CROSSDOCK_WEATHER="openweather", CROSSDOCK_WEATHER_TTL="100", CROSSDOCK_WEATHER_STALE=stale
    ) as dock:
        await get(dock, "/weather/Berlin")
        http.faults[FIRST] = AWAY
        await dock.clock.advance(150)

        answer = await get(dock, "/weather/Berlin")

    assert answer.status_code == status


async def test_beyond_the_quota_there_is_a_time_to_come_again_and_no_call(http: ScriptedHttp) -> None:
    async with service(http, CROSSDOCK_WEATHER="openweather", CROSSDOCK_WEATHER_QUOTA="3/minute") as dock:
        for number in range(3):
            assert (await get(dock, f"/weather/City {number}")).status_code == 200
        await dock.clock.advance(20)

        refused = await get(dock, "/weather/Berlin")
        check = await weather_check(dock)
        metrics = (await dock.client.get("/metrics")).text
        await dock.clock.advance(40)
        granted = await get(dock, "/weather/Berlin")

    problem(refused, 503, "weather-unavailable")
    assert 39 <= int(refused.headers["retry-after"]) <= 41
    assert http.asked == [FIRST] * 4
    assert check["status"] == check["whole"] == "degraded"
    assert "quota is spent" in check["detail"]
    assert 'crossdock_outside_quota_left{api="openweather"} 0.0' in metrics
    assert granted.status_code == 200


async def test_each_call_of_a_question_counts_and_each_provider_has_its_own_quota(http: ScriptedHttp) -> None:
    async with service(http, CROSSDOCK_WEATHER_QUOTA="4/minute") as dock:
        answers = [await get(dock, f"/weather/City {number}") for number in range(7)]

    providers = [answer.json().get("provider") for answer in answers]
    assert providers == ["openweather"] * 4 + ["open_meteo"] * 2 + [None]
    assert answers[-1].status_code == 503
    assert len(http.asked) == 8


async def test_an_open_breaker_is_told_in_readiness_and_metrics_and_asks_nobody(http: ScriptedHttp) -> None:
    http.faults[FIRST] = AWAY
    async with service(http, CROSSDOCK_WEATHER="openweather") as dock:
        for number in range(5):
            problem(await get(dock, f"/weather/City {number}"), 503, "weather-unavailable")
        calls = len(http.asked)
        since = dock.clock.monotonic()

        refused = await get(dock, "/weather/Berlin")
        check = await weather_check(dock)
        text = (await dock.client.get("/metrics")).text

        assert dock.clock.monotonic() == since
        http.faults.clear()
        await dock.clock.advance(2)
        well = await get(dock, "/weather/Berlin")
        after = await weather_check(dock)

    problem(refused, 503, "weather-unavailable")
    assert int(refused.headers["retry-after"]) in {1, 2}
    assert len(http.asked) == calls + 1
    assert check["status"] == check["whole"] == "degraded"
    assert check["detail"].startswith("openweather does not answer: not asked since 2026-11-23T05:00:")
    assert 'crossdock_outside_breaker{api="openweather",state="open"} 1.0' in text
    assert 'crossdock_outside_breaker{api="openweather",state="closed"} 0.0' in text
    assert 'crossdock_outside_breaker_changes_total{api="openweather",state="open"} 1.0' in text
    assert f'crossdock_outside_calls_total{{api="openweather",outcome="unavailable"}} {calls:.1f}' in text
    assert well.status_code == 200
    assert after["status"] == after["whole"] == "ready"


@pytest.mark.parametrize("chosen", ["openweather", "openweather,open_meteo"])
async def test_a_refused_key_is_told_in_readiness_with_its_cause_until_it_is_taken(
    http: ScriptedHttp, caplog: pytest.LogCaptureFixture, chosen: str
) -> None:
    http.faults[FIRST] = Rejected(f"{FIRST} refuses our key: it answered 401")
    with caplog.at_level(logging.INFO):
        async with service(http, CROSSDOCK_WEATHER=chosen) as dock:
            told = [await get(dock, f"/weather/City {number}") for number in range(20)]
            refused = await weather_check(dock)
            http.faults.clear()
            await get(dock, "/weather/Berlin")
            after = await weather_check(dock)

    assert {answer.status_code for answer in told} == {502 if chosen == "openweather" else 200}
    assert refused["status"] == refused["whole"] == "degraded"
    assert refused["detail"].startswith("openweather gives answers of no use since 2026-11-23T05:00:")
    assert refused["detail"].endswith(f": {FIRST} refuses our key: it answered 401")
    assert after["status"] == after["whole"] == "ready"
    assert (refused["cause"], after["cause"]) == ("refused", "")
    ours = [record for record in caplog.records if record.name == "crossdock.outside"]
    lines = [record.getMessage() for record in ours if record.levelno > logging.INFO]
    assert lines == [f"openweather gives answers of no use: {FIRST} refuses our key: it answered 401"]


@pytest.mark.parametrize(("chosen", "status"), [("openweather", 503), ("openweather,open_meteo", 200)])
async def test_a_missing_key_is_told_in_readiness_before_anybody_asks_and_in_the_metrics(
    http: ScriptedHttp, chosen: str, status: int
) -> None:
    async with service(http, CROSSDOCK_WEATHER=chosen, OPEN_WEATHER_API_KEY="") as dock:
        check = await weather_check(dock)  # as the process looks at it, and writes it down, from its start
        answer = await get(dock, "/weather/Berlin")
        metrics = (await dock.client.get("/metrics")).text

    assert check["cause"] == "refused"
    assert check["status"] == check["whole"] == "degraded"
    assert check["detail"] == "openweather is not asked: OPEN_WEATHER_API_KEY is not set"
    assert answer.status_code == status
    assert 'crossdock_outside_calls_total{api="openweather",outcome="not_configured"} 1.0' in metrics


async def test_who_needs_no_key_is_ready(http: ScriptedHttp) -> None:
    async with service(http, CROSSDOCK_WEATHER="auto", OPEN_WEATHER_API_KEY="") as dock:
        check = await weather_check(dock)

    assert check["status"] == "ready"


async def test_a_provider_that_wants_to_be_left_alone_is_not_asked_by_anybody(http: ScriptedHttp) -> None:
    http.faults[FIRST] = Unavailable("it answered 429", retry_after=30)
    async with service(http, CROSSDOCK_WEATHER="openweather") as dock:
        told = [await get(dock, f"/weather/City {number}") for number in range(5)]
        check = await weather_check(dock)
        http.faults.clear()
        await dock.clock.advance(30)
        after = await get(dock, "/weather/Berlin")

    assert http.asked == [FIRST] * 2
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in told} == {(503, "30")}
    assert check["detail"] == "openweather is not asked: it wants to be left alone, for 30 seconds more"
    assert check["cause"] == "limited"
    assert after.status_code == 200


async def test_a_spent_quota_is_no_outage(http: ScriptedHttp) -> None:
    """Neither to the caller nor to the operator, who is told which setting it is."""
    async with service(http, CROSSDOCK_WEATHER="openweather", CROSSDOCK_WEATHER_QUOTA="1/hour") as dock:
        told = [await get(dock, f"/weather/City {number}") for number in range(2)]
        check = await weather_check(dock)

    assert [answer.status_code for answer in told] == [200, 503]
    assert "a quota is spent" in told[1].json()["detail"]
    assert check["cause"] == "limited"
    assert "CROSSDOCK_WEATHER_QUOTA" in check["cure"]


async def test_metrics_tell_of_recalls_and_the_time_of_calls(http: ScriptedHttp) -> None:
    async with service(http) as dock:
        for _ in range(3):
            await get(dock, "/weather/Berlin")
        text = (await dock.client.get("/metrics")).text

    assert 'crossdock_outside_recalls_total{api="weather",found="miss"} 1.0' in text
    assert 'crossdock_outside_recalls_total{api="weather",found="fresh"} 2.0' in text
    assert 'crossdock_outside_calls_total{api="openweather",outcome="answered"} 1.0' in text
    assert 'crossdock_outside_call_duration_seconds_count{api="openweather"} 1.0' in text
    assert 'crossdock_outside_quota_left{api="openweather"} 59.0' in text
    assert 'crossdock_outside_quota_left{api="open_meteo"} 60.0' in text


async def test_a_thousand_cold_requests_for_one_city_make_one_call(http: ScriptedHttp) -> None:
    async with service(http) as dock:
        answers = await asyncio.gather(*(dock.client.get("/weather/Berlin") for _ in range(1000)))

    assert {answer.status_code for answer in answers} == {200}
    assert http.asked == [FIRST]


async def test_readiness_and_metrics_ask_no_provider(http: ScriptedHttp) -> None:
    async with service(http) as dock:
        await dock.client.get("/readyz")
        await dock.client.get("/metrics")

    assert http.asked == []


async def test_the_key_is_nowhere(http: ScriptedHttp, caplog: pytest.LogCaptureFixture) -> None:
    """In no answer, no line, no metric and no key of the cache, whatever happens."""
    texts: list[str] = []
    with caplog.at_level(logging.DEBUG):
        async with service(http, CROSSDOCK_WEATHER_QUOTA="20/minute") as dock:
            for fault in (None, AWAY, Rejected("it answered 401"), KeyError("a bug")):
                http.faults = {} if fault is None else {FIRST: fault, SECOND: fault}
                for number in range(6):
                    try:
                        answer = await get(dock, f"/weather/{type(fault).__name__} {number}")
                        texts.append(f"{answer.headers}{answer.text}")
                    except KeyError as error:
                        texts.append(repr(error))
            texts += [(await dock.client.get(path)).text for path in ("/readyz", "/metrics")]
            cache = dock.container.cache()
            texts += [repr(vars(cache)), repr(vars(dock.container.weather())), repr(dock.container.settings())]

    assert len(texts) == 29
    assert not [text for text in (*texts, caplog.text) if KEY in text]
