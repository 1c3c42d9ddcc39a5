from typing import Any
from uuid import UUID

import httpx
import pytest

from entrypoints.settings import Settings
from entrypoints.web.app import create_app
from entrypoints.web.cursors import order_cursor
from entrypoints.web.operator_access import COOKIE, OperatorAccess
from ports.deliveries import Delivery, State
from ports.errors import Unavailable
from ports.outside import BreakerState
from ports.persistence import Record
from tests.builders import NOON, a_delivery, a_task
from tests.unit.web.parts import Parts
from tests.unit.web.talk import BEARER, OPERATOR_TOKEN, client_of, locations, pointers, problem

API = "/operator/api"
PATHS = [
    ("GET", f"{API}/dead-letters"),
    ("GET", f"{API}/dead-letters/17"),
    ("POST", f"{API}/dead-letters/17/replay"),
    ("POST", f"{API}/dead-letters/17/discard"),
    ("GET", f"{API}/status"),
    ("POST", f"{API}/dead-letters/replay"),
    ("POST", f"{API}/dead-letters/discard"),
    ("GET", f"{API}/timeline?subject=17"),
    ("GET", f"{API}/settings"),
    ("GET", "/operator/live"),
    ("POST", "/operator/dead-letters/17/replay"),
    ("POST", "/operator/dead-letters/17/discard"),
]


async def _dead(parts: Parts, **changes: Any) -> Delivery:
    dead = a_delivery(**changes).died("the handler raised KeyError", NOON, attempts=8)
    await parts.store.commit([Record(dead)])
    return dead


@pytest.fixture
async def browser(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client that has traded the token for the cookie."""
    answer = await client.get("/operator/", params={"token": OPERATOR_TOKEN})
    assert answer.status_code == 303
    return client


# --- who is let in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [*PATHS, ("GET", "/operator/?token=")])
async def test_without_a_token_in_the_settings_the_operator_paths_are_off(parts: Parts, method: str, path: str) -> None:
    async with client_of(create_app(parts, operator_token=None)) as client:
        answer = await client.request(method, path, headers=BEARER)

    problem(answer, 404, "not-found")


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_nobody_gets_in_without_the_token(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)

    problem(answer, 401, "invalid-token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="operator"'


@pytest.mark.parametrize(
    "header",
    [f"Bearer {OPERATOR_TOKEN}x", "Bearer", "Bearer ", f"Basic {OPERATOR_TOKEN}", OPERATOR_TOKEN, "Bearer ä"],
)
async def test_a_wrong_token_does_not_open(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.get(f"{API}/dead-letters", headers={b"Authorization": header.encode()})

    problem(answer, 401, "invalid-token")
    assert answer.headers["www-authenticate"].startswith('Bearer realm="operator"')
    assert OPERATOR_TOKEN not in answer.text


@pytest.mark.parametrize("first", [0, 1])
async def test_two_tokens_are_one_too_many_whichever_is_good(client: httpx.AsyncClient, first: int) -> None:
    tokens = [f"Bearer {OPERATOR_TOKEN}", "Bearer another"]
    headers = [("Authorization", tokens[first]), ("Authorization", tokens[1 - first])]

    answer = await client.get(f"{API}/dead-letters", headers=headers)

    assert "more than one" in problem(answer, 401, "invalid-token")["detail"]


def test_the_gate_does_not_show_its_token() -> None:
    assert OPERATOR_TOKEN not in repr(OperatorAccess(OPERATOR_TOKEN))


async def test_the_token_is_traded_for_a_cookie_and_a_clean_address(client: httpx.AsyncClient) -> None:
    answer = await client.get("/operator/", params={"token": OPERATOR_TOKEN})

    assert answer.status_code == 303
    assert answer.headers["location"] == "/operator/"
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/operator"} <= {part.strip() for part in cookie.split(";")}
    assert OPERATOR_TOKEN not in cookie


async def test_over_tls_the_cookie_is_kept_to_tls(client: httpx.AsyncClient) -> None:
    answer = await client.get("https://crossdock.test/operator/", params={"token": OPERATOR_TOKEN})

    assert "; Secure" in answer.headers["set-cookie"]


async def test_a_wrong_token_is_traded_for_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/operator/", params={"token": "guess"})

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("cookie", ["", "guess", OPERATOR_TOKEN, "%C3%A4"])
async def test_a_wrong_cookie_does_not_open(client: httpx.AsyncClient, cookie: str) -> None:
    headers = {"Cookie": f"{COOKIE}={cookie}"}

    page = await client.get("/operator/", headers=headers)
    api = await client.get(f"{API}/status", headers=headers)

    assert page.status_code == 401
    problem(api, 401, "invalid-token")


async def test_the_cookie_opens_the_page_and_the_api(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/operator/")
    api = await browser.get(f"{API}/dead-letters")

    assert page.status_code == 200
    assert api.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://crossdock.test"},
        {"Origin": "http://evil.test"},
        {"Origin": "http://crossdock.test.evil.test"},
        {"Origin": "http://crossdock.test:8000"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
async def test_the_cookie_changes_nothing_for_another_site(
    browser: httpx.AsyncClient, parts: Parts, headers: dict[str, str]
) -> None:
    dead = await _dead(parts)

    answers = [
        await browser.post(f"{prefix}/dead-letters/{dead.id}/discard", headers=headers) for prefix in (API, "/operator")
    ]

    for answer in answers:
        problem(answer, 403, "cross-site-request")
    still = await parts.store.ledger.get(dead.id)
    assert still is not None
    assert still.state is State.DEAD


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://crossdock.test"}])
async def test_the_cookie_changes_things_for_our_own_page(
    browser: httpx.AsyncClient, parts: Parts, headers: dict[str, str]
) -> None:
    dead = await _dead(parts)

    answer = await browser.post(f"{API}/dead-letters/{dead.id}/discard", headers=headers)

    assert answer.status_code == 200


# --- the desk ---------------------------------------------------------------------------------------------------------


async def test_the_desk_lists_what_is_dead_oldest_first_page_by_page(client: httpx.AsyncClient, parts: Parts) -> None:
    dead = [await _dead(parts, subject=f"subject-{n}") for n in range(3)]
    await parts.store.commit([Record(a_delivery())])

    first = await client.get(f"{API}/dead-letters", params={"limit": 2}, headers=BEARER)
    cursor = first.json()["next_cursor"]
    second = await client.get(f"{API}/dead-letters", params={"cursor": cursor}, headers=BEARER)

    assert [item["id"] for item in first.json()["items"]] == [dead[0].id, dead[1].id]
    assert second.json() == {
        "items": [
            {
                "id": dead[2].id,
                "lane": "event",
                "name": "crossdock.order.created.v1",
                "subject": "subject-2",
                "reason": "the handler raised KeyError",
                "attempts": 8,
                "first_failed_at": "2026-11-23T12:00:00.123456Z",
                "last_failed_at": "2026-11-23T12:00:00.123456Z",
            }
        ],
        "total": 3,
        "next_cursor": None,
    }


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("cursor=17", "/cursor"),
        (f"cursor={order_cursor(UUID('01a206f9-b14e-73c3-9267-e8f5a3c31663'))}", "/cursor"),
        ("lane=road", "/lane"),
        ("place=task", "/place"),
        (f"reason={'x' * 501}", "/reason"),
    ],
)
async def test_a_query_of_the_desk_keeps_to_its_limits(client: httpx.AsyncClient, query: str, pointer: str) -> None:
    answer = await client.get(f"{API}/dead-letters?{query}", headers=BEARER)

    document = problem(answer, 422, "invalid-request")
    assert (pointers(document), locations(document)) == ([pointer], {"query"})


async def test_one_letter_is_shown_with_its_body_and_its_story(client: httpx.AsyncClient, parts: Parts) -> None:
    dead = await _dead(parts, body=b'{"city": "K\xc3\xb6ln"}')

    shown = (await client.get(f"{API}/dead-letters/{dead.id}", headers=BEARER)).json()

    assert shown["body"] == '{"city": "Köln"}'
    assert shown["body_encoding"] == "utf-8"
    assert shown["topic"] == "order_events"
    assert shown["attributes"] == dict(dead.attributes)
    assert shown["story"] == [
        {"at": "2026-11-23T12:00:00.123456Z", "what": "dead", "why": "the handler raised KeyError"}
    ]


async def test_a_body_that_is_no_text_is_shown_in_base64(client: httpx.AsyncClient, parts: Parts) -> None:
    dead = await _dead(parts, body=b"\xff\x00")

    shown = (await client.get(f"{API}/dead-letters/{dead.id}", headers=BEARER)).json()

    assert (shown["body"], shown["body_encoding"]) == ("/wA=", "base64")


@pytest.mark.parametrize("id", ["plain", "group/topic/with slashes", "ü%2F?#\u202e", "../../status", "a/replay"])
async def test_an_id_may_be_any_text(client: httpx.AsyncClient, parts: Parts, id: str) -> None:
    await _dead(parts, id=id)
    address = f"{API}/dead-letters/" + httpx.QueryParams({"": id}).__str__()[1:].replace("+", "%20")

    shown = await client.get(address, headers=BEARER)
    replayed = await client.post(f"{address}/replay", headers=BEARER)

    assert shown.json()["id"] == id
    assert replayed.json() == {"id": id, "outcome": "replayed"}


@pytest.mark.parametrize(
    ("verb", "outcome", "state"), [("replay", "replayed", State.READY), ("discard", "discarded", State.DISCARDED)]
)
async def test_a_letter_is_replayed_or_discarded_once(
    client: httpx.AsyncClient, parts: Parts, verb: str, outcome: str, state: State
) -> None:
    dead = await _dead(parts)

    first = await client.post(f"{API}/dead-letters/{dead.id}/{verb}", headers=BEARER)
    second = await client.post(f"{API}/dead-letters/{dead.id}/{verb}", headers=BEARER)

    assert first.json() == {"id": dead.id, "outcome": outcome}
    problem(second, 404, "dead-letter-not-found")
    after = await parts.store.ledger.get(dead.id)
    assert after is not None
    assert after.state is state


@pytest.mark.parametrize(("method", "path"), PATHS[1:4])
async def test_what_is_not_on_the_desk_is_not_found(client: httpx.AsyncClient, method: str, path: str) -> None:
    problem(await client.request(method, path, headers=BEARER), 404, "dead-letter-not-found")


async def test_the_status_tells_how_everything_is(client: httpx.AsyncClient, parts: Parts) -> None:
    await parts.store.commit([Record(a_task())])

    status = (await client.get(f"{API}/status", headers=BEARER)).json()

    assert status["status"] == "ready"
    assert status["checks"] == parts.well_being.health.checks
    assert status["process"] == "host-1:4711"
    assert status["deliveries"]["task"] == {"ready": 1, "sent": 0, "blocked": 0, "dead": 0, "discarded": 0}
    assert set(status["deliveries"]) == {"event", "task", "received"}


async def test_the_status_names_each_port_with_what_fills_it_and_what_else_could(client: httpx.AsyncClient) -> None:
    status = (await client.get(f"{API}/status", headers=BEARER)).json()

    ports = {port["port"]: port for port in status["ports"]}
    assert set(ports) == {"persistence", "event_broker", "task_queue", "weather", "cache", "mailer", "identity"}
    assert ports["persistence"] == {
        "port": "persistence",
        "adapter": "postgresql",
        "choices": ["sqlite", "postgresql", "memory"],
        "check": "storage",
    }
    assert ports["weather"]["choices"] == ["openweather", "open_meteo", "sample"]


async def test_several_providers_of_the_weather_are_all_plugged_in(client: httpx.AsyncClient, parts: Parts) -> None:
    parts.chosen = Settings.load({"CROSSDOCK_WEATHER": "open_meteo,sample"}, None)

    status = (await client.get(f"{API}/status", headers=BEARER)).json()

    assert [port["adapter"] for port in status["ports"] if port["port"] == "weather"] == ["open_meteo, sample"]


async def test_the_counts_of_the_status_are_those_of_the_moment(client: httpx.AsyncClient, parts: Parts) -> None:
    """What looks every two seconds must not answer whoever waits for the last task to be done."""
    await client.get(f"{API}/status", headers=BEARER)
    await parts.store.commit([Record(a_task())])

    status = (await client.get(f"{API}/status", headers=BEARER)).json()

    assert status["deliveries"]["task"]["ready"] == 1


async def test_the_status_tells_of_breakers_and_quotas(client: httpx.AsyncClient, parts: Parts) -> None:
    parts.outside.breaker("open_meteo", BreakerState.OPEN)

    status = (await client.get(f"{API}/status", headers=BEARER)).json()

    assert status["outside"] == {"open_meteo": {"breaker": "open", "quota_left": None}}


# --- searching, and several at once -----------------------------------------------------------------------------------


async def test_the_desk_is_searched(client: httpx.AsyncClient, parts: Parts) -> None:
    task = a_task(subject="order-7").died("no such mailbox", NOON, attempts=1)
    await parts.store.commit([Record(task)])
    await _dead(parts, subject="order-7")

    async def found(**query: str) -> tuple[list[str], int]:
        answer = (await client.get(f"{API}/dead-letters", params=query, headers=BEARER)).json()
        return [item["lane"] for item in answer["items"]], answer["total"]

    assert await found(lane="task") == (["task"], 1)
    assert await found(name="order.created") == (["event"], 1)
    assert await found(subject="order-7", reason="KeyError") == (["event"], 1)
    assert await found(subject="order-7", limit="1") == (["task"], 2)
    assert await found(reason="nobody") == ([], 0)


@pytest.mark.parametrize(
    ("verb", "outcome", "state"), [("replay", "replayed", State.READY), ("discard", "discarded", State.DISCARDED)]
)
async def test_several_are_replayed_or_discarded_and_those_that_are_gone_passed_over(
    client: httpx.AsyncClient, parts: Parts, verb: str, outcome: str, state: State
) -> None:
    letters = [await _dead(parts) for _ in range(2)]
    ids = [letters[0].id, "gone/replay", letters[1].id, letters[0].id]

    answer = await client.post(f"{API}/dead-letters/{verb}", json={"ids": ids}, headers=BEARER)

    assert answer.json()["items"] == [
        {"id": letters[0].id, "outcome": outcome},
        {"id": "gone/replay", "outcome": "not-found"},
        {"id": letters[1].id, "outcome": outcome},
    ]
    for letter in letters:
        after = await parts.store.ledger.get(letter.id)
        assert after is not None
        assert after.state is state


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/ids"),
        ({"ids": []}, "/ids"),
        ({"ids": ["x"] * 101}, "/ids"),
        ({"ids": [1]}, "/ids/0"),
        ({"ids": None}, "/ids"),
    ],
)
async def test_several_are_named_and_not_too_many(client: httpx.AsyncClient, body: Any, pointer: str) -> None:
    answer = await client.post(f"{API}/dead-letters/replay", json=body, headers=BEARER)

    assert pointers(problem(answer, 422, "invalid-request")) == [pointer]


async def test_a_store_that_goes_away_among_several_is_told(client: httpx.AsyncClient, parts: Parts) -> None:
    dead = await _dead(parts)
    parts.store.breaks_with = Unavailable("away")

    answer = await client.post(f"{API}/dead-letters/replay", json={"ids": [dead.id]}, headers=BEARER)

    problem(answer, 503, "storage-unavailable")


# --- where something is, and what is set ------------------------------------------------------------------------------


async def test_it_is_told_where_something_is(client: httpx.AsyncClient, parts: Parts, user: Any) -> None:
    way = (await client.get(f"{API}/timeline", params={"subject": user["id"]}, headers=BEARER)).json()

    assert (way["kind"], way["subject"], way["more"]) == ("user", user["id"], False)
    assert [(step["what"], step["progress"]) for step in way["steps"]] == [
        ("record", "done"),
        ("publish", "waiting"),
        ("perform", "waiting"),
    ]
    assert way["steps"][0]["at"] == user["registered_at"]
    assert (await parts.store.ledger.get(way["steps"][1]["id"])) is not None


async def test_to_ask_where_nothing_is_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{API}/timeline", params={"subject": ""}, headers=BEARER)

    assert pointers(problem(answer, 422, "invalid-request")) == ["/subject"]


async def test_the_settings_are_told_with_their_origin_and_without_their_secrets(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{API}/settings", headers=BEARER)

    settings = answer.json()["settings"]
    assert settings["DATABASE_URL"] == {
        "value": "postgresql://ann:***@db/crossdock",
        "origin": "environment",
        "default": "sqlite:///crossdock.db",
        "port": "persistence",
        "used": True,
    }
    assert "hunter2" not in answer.text


async def test_a_letter_names_its_trace(client: httpx.AsyncClient, parts: Parts) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    traced = await _dead(parts, attributes={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    other = await _dead(parts)

    told = [
        (await client.get(f"{API}/dead-letters/{dead.id}", headers=BEARER)).json()["trace_id"]
        for dead in (traced, other)
    ]

    assert told == [trace, None]
