"""The operator's page as a server without a script gives it."""

import re
from html import unescape
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from entrypoints.health import Health
from entrypoints.settings import Settings
from entrypoints.web.app import create_app
from ports.deliveries import Delivery, State
from ports.errors import Unavailable
from ports.outside import BreakerState
from ports.persistence import Record
from tests.builders import NOON, a_delivery, a_task
from tests.unit.web.parts import Parts
from tests.unit.web.talk import OPERATOR_TOKEN, client_of, problem

OURS = {"Sec-Fetch-Site": "same-origin"}
HOSTILE = "<script>alert('x')</script>\"& \u202eevil \x1b[31m \u200b"
PAGES = ["/operator/", "/operator/where?subject=17", "/operator/settings", "/operator/dead-letters/17"]


async def _dead(parts: Parts, why: str = "the handler raised KeyError", **changes: Any) -> Delivery:
    dead = a_delivery(**changes).died(why, NOON, attempts=8)
    await parts.store.commit([Record(dead)])
    return dead


@pytest.fixture
async def browser(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client that has traded the token for the cookie."""
    answer = await client.get("/operator/", params={"token": OPERATOR_TOKEN})
    assert answer.status_code == 303
    return client


def words(page: httpx.Response) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page.text)))


# --- who sees it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_is_shown_without_the_cookie(client: httpx.AsyncClient, parts: Parts, path: str) -> None:
    await _dead(parts, id="17", subject="17")

    page = await client.get(path)

    assert page.status_code == 401
    assert "KeyError" not in page.text


@pytest.mark.parametrize("path", PAGES)
async def test_without_a_token_in_the_settings_there_is_no_page(parts: Parts, path: str) -> None:
    async with client_of(create_app(parts, operator_token=None)) as client:
        problem(await client.get(path), 404, "not-found")


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_nothing_from_elsewhere_and_runs_our_script_alone(
    browser: httpx.AsyncClient, parts: Parts, path: str
) -> None:
    await _dead(parts, id="17", subject="17")

    page = await browser.get(path)

    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    (script,) = re.findall(r"<script[^>]*>", page.text)
    assert re.fullmatch(r'<script src="/static/operator.js\?v=\w+" defer>', script)
    assert " style=" not in page.text
    assert not re.findall(r" on\w+=", page.text)
    assert not re.findall(r'(?:src|href|action)="(?!/|#|data:,")[^"]*"', page.text)


@pytest.mark.parametrize("name", ["operator.js", "operator.css"])
async def test_what_a_page_loads_is_there(browser: httpx.AsyncClient, name: str) -> None:
    page = (await browser.get("/operator/")).text
    address = page.partition(f'"/static/{name}')[2].partition('"')[0]

    file = await browser.get(f"/static/{name}{address}")

    assert address.startswith("?v=")
    assert (file.status_code, len(file.text) > 1000) == (200, True)


async def test_the_forms_of_the_page_are_sent_with_their_origin(browser: httpx.AsyncClient) -> None:
    """Under `no-referrer` browsers send "Origin: null", and those that send no Sec-Fetch-Site would be locked out."""
    page = await browser.get("/operator/")

    assert page.headers["referrer-policy"] == "same-origin"


# --- at a glance ------------------------------------------------------------------------------------------------------


async def test_a_quiet_service_says_so(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/operator/")

    assert "Nothing is waiting." in words(page)
    assert "overall" in page.text
    assert "is-ready" in page.text


async def test_the_patch_bay_shows_what_is_plugged_in_and_how_it_is(browser: httpx.AsyncClient, parts: Parts) -> None:
    checks = {
        "storage": {"status": "ready", "detail": ""},
        "event_broker": {
            "status": "degraded",
            "cause": "out_of_reach",
            "detail": "no broker at <b>kafka:9092</b>",
            "cure": "See that it runs.",
            "since": "2026-11-23T05:00:00.123456Z",
        },
        "event_relay": {"status": "degraded", "detail": "the broker is away"},
    }
    parts.well_being.health = Health("degraded", checks)

    page = await browser.get("/operator/")

    assert "persistence postgresql is plugged in sqlite memory ready" in words(page)
    told = "out_of_reach: no broker at <b>kafka:9092</b> · since 2026-11-23 05:00:00 UTC · See that it runs."
    assert f"event broker memory is plugged in kafka rabbitmq degraded {told}" in words(page)
    assert "at work here event relay degraded the broker is away" in words(page)
    assert "mailer log is plugged in smtp memory not watched" in words(page)


async def test_what_waits_on_its_way_stands_in_the_flow(browser: httpx.AsyncClient, parts: Parts) -> None:
    now = parts.time.now()
    await parts.store.commit([Record(a_delivery(due_at=now)) for _ in range(1234)])
    await parts.time.advance(300)

    page = await browser.get("/operator/")

    assert "Outbox 1,234 events wait the first for 5 min" in words(page)


async def test_breakers_and_quotas_are_shown(browser: httpx.AsyncClient, parts: Parts) -> None:
    parts.outside.breaker("open_meteo", BreakerState.HALF_OPEN)

    assert "open meteo half open –" in words(await browser.get("/operator/"))


async def test_while_the_database_is_away_the_page_says_what_is_known(browser: httpx.AsyncClient, parts: Parts) -> None:
    parts.well_being.health = Health("unavailable", {"storage": {"status": "unavailable", "detail": "no route"}})
    await parts.store.stop()

    page = await browser.get("/operator/")
    await parts.store.start()

    assert page.status_code == 200
    assert "unavailable no route" in words(page)
    assert words(page).count("The database does not answer") == 2
    assert "Nothing is waiting" not in page.text


# --- the desk ---------------------------------------------------------------------------------------------------------


async def test_a_letter_stands_on_the_desk_with_what_can_be_done(browser: httpx.AsyncClient, parts: Parts) -> None:
    dead = await _dead(parts, subject="order-7")

    page = await browser.get("/operator/")

    assert f"crossdock.order.created.v1 event {dead.id} order-7 the handler raised KeyError 8" in words(page)
    assert f'href="/operator/dead-letters/{dead.id}"' in page.text
    assert 'href="/operator/where?subject=order-7"' in page.text
    assert f'action="/operator/dead-letters/{dead.id}/replay"' in page.text
    assert f'action="/operator/dead-letters/{dead.id}/discard"' in page.text


async def test_the_desk_is_searched_and_says_what_for(browser: httpx.AsyncClient, parts: Parts) -> None:
    await _dead(parts, subject="order-7")
    await _dead(parts, why="no such mailbox", subject="order-8")

    page = await browser.get("/operator/", params={"reason": "mailbox", "lane": "event"})
    nothing = await browser.get("/operator/", params={"reason": "nobody"})

    assert ("order-8" in page.text, "order-7" in page.text) == (True, False)
    assert 'name="reason" value="mailbox"' in page.text
    assert '<option value="event" selected>' in page.text
    assert "1 wait for a person" in words(page)
    assert "Nothing that waits matches this. Show everything" in words(nothing)


async def test_a_lane_that_is_none_is_every_lane(browser: httpx.AsyncClient, parts: Parts) -> None:
    await _dead(parts, subject="order-7")

    assert "order-7" in (await browser.get("/operator/?lane=road")).text


async def test_what_was_searched_for_comes_back_escaped(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/operator/", params={"reason": '"><script>alert(1)</script>'})

    assert "<script>" not in page.text
    assert 'value="&#34;&gt;&lt;script&gt;' in page.text


async def test_a_long_desk_goes_on_on_the_next_page_of_the_same_search(
    browser: httpx.AsyncClient, parts: Parts
) -> None:
    await parts.store.commit(
        [Record(a_delivery(subject=f"letter-{n:02}").died("why", NOON, attempts=1)) for n in range(51)]
    )
    await _dead(parts, subject="another")

    first = (await browser.get("/operator/?reason=why")).text
    address = unescape(re.findall(r'href="(/operator/[^"]*cursor=[^"]*)"', first)[0])
    second = (await browser.get(address)).text

    assert ("letter-49" in first, "letter-50" in first, "another" in first) == (True, False, False)
    assert ("letter-49" in second, "letter-50" in second, "another" in second) == (False, True, False)
    assert "cursor=" not in second


async def test_the_buttons_work_and_lead_back_to_the_desk(browser: httpx.AsyncClient, parts: Parts) -> None:
    replayed, discarded = await _dead(parts), await _dead(parts)

    one = await browser.post(f"/operator/dead-letters/{replayed.id}/replay", headers=OURS)
    other = await browser.post(f"/operator/dead-letters/{discarded.id}/discard", headers=OURS)

    assert (one.status_code, one.headers["location"]) == (303, "/operator/")
    assert (other.status_code, other.headers["location"]) == (303, "/operator/")
    assert "Nothing is waiting." in words(await browser.get("/operator/"))


async def test_a_button_leads_back_to_what_was_searched_for(browser: httpx.AsyncClient, parts: Parts) -> None:
    await _dead(parts)
    page = (await browser.get("/operator/", params={"reason": "KeyError", "lane": "event"})).text
    (action,) = (unescape(each) for each in re.findall(r'action="([^"]*/replay[^"]*)"', page))

    answer = await browser.post(action, headers=OURS)

    assert answer.headers["location"] == "/operator/?lane=event&reason=KeyError#desk"


async def test_nothing_is_done_by_looking(browser: httpx.AsyncClient, parts: Parts) -> None:
    dead = await _dead(parts)

    for verb in ("replay", "discard"):
        await browser.get(f"/operator/dead-letters/{dead.id}/{verb}")
        await browser.get(f"/operator/api/dead-letters/{verb}")

    after = await parts.store.ledger.get(dead.id)
    assert after is not None
    assert after.state is State.DEAD


# --- one letter -------------------------------------------------------------------------------------------------------


async def test_a_letter_is_shown_with_its_story_its_trace_and_its_body(
    browser: httpx.AsyncClient, parts: Parts
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    dead = await _dead(parts, body=b'{"city": "K\xc3\xb6ln"}', attributes={"traceparent": trace, "source": "shop"})

    page = words(await browser.get(f"/operator/dead-letters/{dead.id}"))

    assert "Trace 4bf92f3577b34da6a3ce929d0e0e4736" in page
    assert '{"city": "Köln"} 16 bytes' not in page
    assert '{"city": "Köln"}' in page
    assert re.search(r"Story dead 2026-11-23 12:00:00 [\w ]+ the handler raised KeyError", page)
    assert "source shop" in page


async def test_a_letter_that_was_given_up_has_no_buttons(browser: httpx.AsyncClient, parts: Parts) -> None:
    dead = await _dead(parts)
    await parts.dead_letters().discard(dead.id)

    page = await browser.get(f"/operator/dead-letters/{dead.id}")

    assert "It was discarded" in page.text
    assert "<form" not in page.text


async def test_a_letter_that_is_none_is_not_found(browser: httpx.AsyncClient) -> None:
    problem(await browser.get("/operator/dead-letters/17"), 404, "dead-letter-not-found")


async def test_a_long_body_is_cut_and_one_that_is_no_text_told_so(browser: httpx.AsyncClient, parts: Parts) -> None:
    long, raw = await _dead(parts, body=b"x" * 100_000), await _dead(parts, body=b"\xff\x00")

    cut = await browser.get(f"/operator/dead-letters/{long.id}")
    coded = await browser.get(f"/operator/dead-letters/{raw.id}")

    assert "x" * 4000 + "…" in cut.text
    assert len(cut.text) < 10_000
    assert "/wA=" in coded.text
    assert "no text: shown in base64" in words(coded)


# --- hostile values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/operator/", "letter", "way"])
async def test_whatever_others_wrote_is_text_and_can_be_seen(
    browser: httpx.AsyncClient, parts: Parts, path: str
) -> None:
    letter = a_delivery(
        id=HOSTILE, name=HOSTILE, subject=HOSTILE, topic=HOSTILE, body=HOSTILE.encode(), attributes={HOSTILE: HOSTILE}
    )
    await parts.store.commit([Record(letter.died(HOSTILE, NOON, attempts=1))])
    address = {
        "letter": f"/operator/dead-letters/{quote(HOSTILE, safe='')}",
        "way": f"/operator/where?subject={quote(HOSTILE)}",
    }.get(path, path)

    page = await browser.get(address)

    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "&lt;script&gt;alert(&#39;x&#39;)" in page.text
    assert 'title="U+202E RIGHT-TO-LEFT OVERRIDE">\\u202e</span>' in page.text
    assert 'title="U+001B">\\x1b</span>' in page.text
    assert 'title="U+200B ZERO WIDTH SPACE">\\u200b</span>' in page.text
    shown = re.sub(r' (?:value|data-letter)="[^"]*"', "", page.text)  # what comes back as it is, and nobody reads
    assert not {"\u202e", "\x1b", "\u200b"} & set(shown)


async def test_a_title_tells_what_cannot_be_seen_as_well(browser: httpx.AsyncClient, parts: Parts) -> None:
    await _dead(parts, id="17", name=HOSTILE)

    title = (await browser.get("/operator/dead-letters/17")).text.partition("<title>")[2].partition("</title>")[0]

    assert "\\u202eevil" in title
    assert "\u202e" not in title


# --- where something is -----------------------------------------------------------------------------------------------


async def test_the_question_where_something_is_is_asked_and_answered(browser: httpx.AsyncClient, user: Any) -> None:
    empty = await browser.get("/operator/where")
    page = await browser.get(f"/operator/where?subject=%20{user['id']}%20")

    assert 'name="subject" value=""' in empty.text
    assert re.search(rf"User {user['id']} Record user done 2026-11-23 05:00:00 0 s ago Publish .* waits", words(page))


async def test_of_what_is_not_known_the_page_says_so(browser: httpx.AsyncClient) -> None:
    assert "Nothing is known of order-7." in words(await browser.get("/operator/where?subject=order-7"))


async def test_a_dead_step_leads_to_its_letter(browser: httpx.AsyncClient, parts: Parts) -> None:
    dead = a_task(subject="order-7").died("no such mailbox", NOON, attempts=1)
    await parts.store.commit([Record(dead)])

    page = await browser.get("/operator/where?subject=order-7")

    assert f'href="/operator/dead-letters/{dead.id}"' in page.text
    assert "waits for a person" in words(page)


async def test_while_the_database_is_away_the_question_is_answered_by_that(
    browser: httpx.AsyncClient, parts: Parts
) -> None:
    await parts.store.stop()

    page = await browser.get("/operator/where?subject=order-7")
    await parts.store.start()

    assert page.status_code == 503
    assert "The database does not answer" in words(page)


# --- settings ---------------------------------------------------------------------------------------------------------


async def test_settings_are_shown_with_their_origin_and_without_their_secrets(
    browser: httpx.AsyncClient, parts: Parts
) -> None:
    given = {
        "DATABASE_URL": "postgresql://ann:hunter2@db/x",
        "OPEN_WEATHER_API_KEY": "canary",
        "CROSSDOCK_CACHE": "redis",
    }
    parts.chosen = Settings.load(given, None)

    page = await browser.get("/operator/settings")

    assert "DATABASE_URL postgresql://ann:***@db/x environment" in words(page)
    assert "OPEN_WEATHER_API_KEY *** environment" in words(page)
    assert "MEMCACHED_SERVERS localhost:11211 default, not used by this choice" in words(page)
    assert "hunter2" not in page.text
    assert "canary" not in page.text


async def test_the_page_does_not_hang_on_a_store_that_answers_nothing_else(
    browser: httpx.AsyncClient, parts: Parts
) -> None:
    dead = await _dead(parts)
    parts.store.breaks_with = Unavailable("away")

    answer = await browser.post(f"/operator/dead-letters/{dead.id}/replay", headers=OURS)

    problem(answer, 503, "storage-unavailable")
