"""The operator's page in a real browser."""

import asyncio
from pathlib import Path
from urllib.parse import quote

from tests.builders import NOON, a_task, an_id
from tests.integration.operator.conftest import HOSTILE, Visit, letters, service_with


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


async def test_the_keyboard_alone_finds_shows_and_replays_a_letter(tmp_path: Path, visit: Visit) -> None:
    async with service_with(letters(), tmp_path, CROSSDOCK_MAILER="smtp", SMTP_URL="smtp://127.0.0.1:1") as service:
        seen = await asyncio.to_thread(visit, service.url, journey="replay")

    steps = seen["steps"]
    assert (steps["all"], steps["filtered"], steps["left"]) == (4, 2, 1)
    assert "no such mailbox" in steps["shown"]
    assert "4bf92f3577b34da6a3ce929d0e0e4736" in steps["shown"]
    assert steps["said"] == "Replayed 1."
    assert steps["back"], "the focus does not come back when a letter is closed"
    assert steps["focus"], "the focus is lost with the row that it was in"
    assert seen["complaints"] == []


async def test_a_letter_is_discarded_after_a_question(tmp_path: Path, visit: Visit) -> None:
    async with service_with(letters(), tmp_path) as service:
        seen = await asyncio.to_thread(visit, service.url, journey="discard")

    assert seen["steps"]["said"] == "Discarded 1."
    assert seen["steps"]["left"] == 1
    assert seen["complaints"] == []


async def test_all_that_match_are_discarded_also_on_pages_that_were_not_shown(tmp_path: Path, visit: Visit) -> None:
    many = [a_task(subject=str(an_id())).died("no such template", NOON, attempts=1) for _ in range(120)]
    async with service_with([*letters(), *many], tmp_path) as service:
        seen = await asyncio.to_thread(visit, service.url, journey="bulk")

    steps = seen["steps"]
    assert (steps["picked"], steps["everything"], steps["kept"]) == ("50", "120", 50)
    assert steps["asks"] == "Discard 120?"
    assert steps["said"] == "Discarded 120."
    assert steps["empty"] == "Nothing is waiting."
    assert seen["complaints"] == []


def test_the_hostile_text_of_these_tests_is_hostile() -> None:
    assert {"<", "\u202e", "\x1b", "\x00"} <= set(HOSTILE)
