"""The operator's page in a real browser."""

import asyncio
import time
from pathlib import Path
from urllib.parse import quote

import httpx

from tests.builders import NOON, a_task, an_id
from tests.integration.operator.conftest import HOSTILE, TOKEN, Visit, letters, service_with


async def test_whatever_the_page_shows_it_is_accessible_and_asks_nobody_else(tmp_path: Path, visit: Visit) -> None:
    """In light and dark, wide and narrow: no violation that axe finds, no complaint, nothing beside the screen."""
    desk = letters()
    paths = {
        "/operator/": "[data-live]:has-text('live')",
        "/operator/?reason=nobody": ".empty",
        f"/operator/dead-letters/{quote(desk[3].id, safe='')}": "article.letter",
        f"/operator/where?subject={desk[2].subject}": ".way",
        "/operator/settings": ".settings",
    }
    async with service_with(desk, tmp_path) as service:
        looks = [
            {"path": path, "until": until, "pictures": str(tmp_path / str(number))}
            for number, (path, until) in enumerate(paths.items())
        ]
        seen = await asyncio.to_thread(visit, service.url, look=looks)

    assert seen["violations"] == []
    assert seen["complaints"] == []
    assert seen["elsewhere"] == []
    assert seen["overflow"] == []


async def test_letters_are_found_shown_replayed_and_discarded(tmp_path: Path, visit: Visit) -> None:
    """One by one with the keyboard alone; then all that match a search, also on pages that were not shown."""
    many = [a_task(subject=str(an_id())).died("no such template", NOON, attempts=1) for _ in range(120)]
    away = {"CROSSDOCK_MAILER": "smtp", "SMTP_URL": "smtp://127.0.0.1:1"}  # what is replayed does not come back
    async with service_with([*letters(), *many], tmp_path, **away) as service:
        seen = await asyncio.to_thread(visit, service.url, journey=["replay", "discard", "bulk"])

    replay, discard, bulk = (seen["steps"][journey] for journey in ("replay", "discard", "bulk"))
    assert seen["complaints"] == []
    assert (replay["filtered"], replay["left"], discard["filtered"], discard["left"]) == (2, 1, 1, 0)
    assert "no such mailbox" in replay["shown"]
    assert "4bf92f3577b34da6a3ce929d0e0e4736" in replay["shown"]
    assert (replay["said"], discard["said"], bulk["said"]) == ("Replayed 1.", "Discarded 1.", "Discarded 120.")
    assert all(one["back"] for one in (replay, discard)), "the focus does not come back when a letter is closed"
    assert all(one["focus"] for one in (replay, discard)), "the focus is lost with the row that it was in"
    assert (bulk["picked"], bulk["everything"], bulk["asks"], bulk["kept"]) == ("50", "120", "Discard 120?", 50)
    assert bulk["empty"] == "Nothing is waiting."


async def test_a_process_that_is_told_to_end_lets_those_go_who_watch(tmp_path: Path) -> None:
    """And they do not use up its grace."""
    async with service_with([], tmp_path) as service, httpx.AsyncClient(base_url=service.url, timeout=10) as client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with client.stream("GET", "/operator/live", headers=headers) as stream:
            lines = stream.aiter_lines()
            told = [await anext(lines) for _ in range(6)]
            began = time.monotonic()
            service.tell_to_end()
            told += [line async for line in lines]
        code = await asyncio.to_thread(service.end)

    assert "event: status" in told
    assert told[-3:] == ["event: ending", "data: {}", ""]
    assert code == 0
    assert time.monotonic() - began < 4, "it waited for its watchers"


def test_the_hostile_text_of_these_tests_is_hostile() -> None:
    assert {"<", "\u202e", "\x1b", "\x00"} <= set(HOSTILE)
