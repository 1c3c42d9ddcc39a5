from typing import Any
from uuid import UUID

import httpx
import pytest

from entrypoints.web.app import create_app
from entrypoints.web.cursors import order_cursor
from entrypoints.web.operator_access import COOKIE, OperatorAccess
from ports.deliveries import Delivery, State
from ports.persistence import Record
from tests.builders import NOON, a_delivery, a_task
from tests.unit.web.parts import Parts
from tests.unit.web.talk import BEARER, OPERATOR_TOKEN, client_of, pointers, problem

API = "/operator/api"
PATHS = [
    ("GET", f"{API}/dead-letters"),
    ("GET", f"{API}/dead-letters/17"),
    ("POST", f"{API}/dead-letters/17/replay"),
    ("POST", f"{API}/dead-letters/17/discard"),
    ("GET", f"{API}/status"),
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
        "next_cursor": None,
    }


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("cursor=17", "/cursor"),
        (f"cursor={order_cursor(UUID('01a206f9-b14e-73c3-9267-e8f5a3c31663'))}", "/cursor"),
        ("lane=task", "/lane"),
    ],
)
async def test_a_query_of_the_desk_keeps_to_its_limits(client: httpx.AsyncClient, query: str, pointer: str) -> None:
    answer = await client.get(f"{API}/dead-letters?{query}", headers=BEARER)

    assert pointers(problem(answer, 422, "invalid-request")) == [pointer]


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
    assert status["deliveries"]["task"] == {"ready": 1, "sent": 0, "blocked": 0, "dead": 0, "discarded": 0}
    assert set(status["deliveries"]) == {"event", "task", "received"}


# --- the page ---------------------------------------------------------------------------------------------------------


async def test_an_empty_desk_says_so(browser: httpx.AsyncClient) -> None:
    assert "Nothing waits for you here." in (await browser.get("/operator/")).text


async def test_the_page_loads_nothing_from_elsewhere_and_runs_no_script(
    browser: httpx.AsyncClient, parts: Parts
) -> None:
    await _dead(parts)

    page = await browser.get("/operator/")

    assert "script-src" not in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert "http" not in page.text


async def test_the_forms_of_the_page_are_sent_with_their_origin(browser: httpx.AsyncClient) -> None:
    """Under `no-referrer` browsers send "Origin: null", and those that send no Sec-Fetch-Site would be locked out."""
    page = await browser.get("/operator/")

    assert page.headers["referrer-policy"] == "same-origin"


async def test_every_value_on_the_page_is_escaped(browser: httpx.AsyncClient, parts: Parts) -> None:
    evil = "<script>alert('x')</script>\"&"
    dead = a_delivery(id=evil, name=evil, subject=evil, body=evil.encode()).died(evil, NOON, attempts=1)
    await parts.store.commit([Record(dead)])

    page = (await browser.get("/operator/")).text

    assert "<script" not in page
    assert "alert(&#x27;x&#x27;)" in page
    assert "/operator/dead-letters/%3Cscript%3E" in page


async def test_the_trace_of_a_letter_is_named(browser: httpx.AsyncClient, parts: Parts) -> None:
    """By the page and by the API; None where it is not known."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    traced = await _dead(parts, attributes={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    other = await _dead(parts)

    page = (await browser.get("/operator/")).text
    told = [(await browser.get(f"{API}/dead-letters/{dead.id}")).json()["trace_id"] for dead in (traced, other)]

    assert page.count(f"trace {trace}") == 1
    assert told == [trace, None]


async def test_a_long_body_is_cut_on_the_page(browser: httpx.AsyncClient, parts: Parts) -> None:
    await _dead(parts, body=b"x" * 100_000)

    page = (await browser.get("/operator/")).text

    assert "x" * 4000 + "…" in page
    assert len(page) < 10_000


async def test_the_buttons_work_and_lead_back_to_the_desk(browser: httpx.AsyncClient, parts: Parts) -> None:
    replayed, discarded = await _dead(parts), await _dead(parts)
    ours = {"Sec-Fetch-Site": "same-origin"}

    one = await browser.post(f"/operator/dead-letters/{replayed.id}/replay", headers=ours)
    other = await browser.post(f"/operator/dead-letters/{discarded.id}/discard", headers=ours)

    assert (one.status_code, one.headers["location"]) == (303, "/operator/")
    assert (other.status_code, other.headers["location"]) == (303, "/operator/")
    assert "Nothing waits for you here." in (await browser.get("/operator/")).text


async def test_a_long_desk_goes_on_on_the_next_page(browser: httpx.AsyncClient, parts: Parts) -> None:
    await parts.store.commit(
        [Record(a_delivery(subject=f"letter-{n:02}").died("why", NOON, attempts=1)) for n in range(51)]
    )

    first = (await browser.get("/operator/")).text
    address = first.partition('href="/operator/?cursor=')[2].partition('"')[0]
    second = (await browser.get(f"/operator/?cursor={address}")).text

    assert "letter-49" in first
    assert "letter-50" not in first
    assert "letter-50" in second
    assert "cursor=" not in second
