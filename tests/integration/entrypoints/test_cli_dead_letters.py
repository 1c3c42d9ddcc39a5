"""The desk on the command line, over a SQLite file."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from entrypoints.cli import app
from entrypoints.container import build
from entrypoints.processes import migrate
from entrypoints.settings import Settings
from ports.deliveries import Delivery
from ports.persistence import Record
from tests.builders import NOON, a_delivery, a_received, a_task

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated database, chosen by the environment."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'crossdock.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    migrate(Settings.load({"DATABASE_URL": url}, None))
    return url


def dead(*deliveries: Delivery, database: str, why: str = "no route") -> list[str]:
    """Put these on the desk; their ids."""

    async def record() -> None:
        persistence = build(Settings.load({"DATABASE_URL": database}, None)).persistence()
        await persistence.start()
        await persistence.commit([Record(each.died(why, NOON, attempts=8)) for each in deliveries])
        await persistence.stop()

    asyncio.run(record())
    return [each.id for each in deliveries]


def desk(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dead-letters", *arguments])


def waiting() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(desk("list", "--json").stdout)
    return found


def test_list_gives_machines_the_promised_fields_of_all_lanes_oldest_first(database: str) -> None:
    event, task, received = a_delivery(subject="s-1"), a_task(subject=None), a_received(subject="s-2")
    dead(event, task, received, database=database)

    found = waiting()

    assert [each["lane"] for each in found] == ["event", "task", "received"]
    assert found[0] == {
        "id": event.id,
        "lane": "event",
        "name": "crossdock.order.created.v1",
        "subject": "s-1",
        "reason": "no route",
        "attempts": 8,
        "first_failed_at": "2026-11-23T12:00:00.123456Z",
        "last_failed_at": "2026-11-23T12:00:00.123456Z",
    }


def test_list_says_that_nothing_waits(database: str) -> None:  # noqa: ARG001 - there is one, and it is empty
    shown = desk("list")

    assert (shown.exit_code, shown.stdout) == (0, "Nothing waits.\n")


def test_list_shows_people_the_oldest_hundred_unless_all_are_wanted(database: str) -> None:
    ids = dead(*(a_task() for _ in range(101)), database=database)

    shown, everything = desk("list"), desk("list", "--all")

    assert ids[99] in shown.stdout
    assert ids[100] not in shown.stdout
    assert "--all" in shown.stdout
    assert ids[100] in everything.stdout
    assert len(waiting()) == 101


def test_what_others_wrote_neither_moves_the_cursor_nor_is_markup(database: str) -> None:
    dead(a_task(), database=database, why="[red]\x1b[2J\nforged[/red]")

    shown = desk("list")

    assert r"[red]\x1b[2J\nforged[/red]" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_show_tells_one_with_its_body_and_its_story(database: str) -> None:
    (letter,) = dead(a_task(body=b'{"user_id": "u-1"}'), database=database)

    shown, document = desk("show", letter), json.loads(desk("show", letter, "--json").stdout)

    assert 'body: {"user_id": "u-1"}' in shown.stdout
    assert "dead  no route" in shown.stdout
    assert document["body"] == '{"user_id": "u-1"}'
    assert [line["what"] for line in document["story"]] == ["dead"]


def test_show_of_an_unknown_id_fails_with_words(database: str) -> None:  # noqa: ARG001 - there is one, and it is empty
    refused = desk("show", "nobody")

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "There is no dead letter nobody" in refused.stderr


@pytest.mark.parametrize(("verb", "outcome"), [("replay", "replayed"), ("discard", "discarded")])
def test_what_is_named_leaves_the_desk_and_the_rest_stays(database: str, verb: str, outcome: str) -> None:
    first, second, third = dead(a_task(), a_task(), a_task(), database=database)

    done = desk(verb, first, second)

    assert (done.exit_code, done.stdout) == (0, f"2 {outcome}.\n")
    assert [each["id"] for each in waiting()] == [third]


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_all_leaves_nothing(database: str, verb: str) -> None:
    dead(*(a_task() for _ in range(150)), database=database)

    done = desk(verb, "--all")

    assert done.exit_code == 0
    assert waiting() == []


@pytest.mark.parametrize(("options", "answer", "left"), [([], "n\n", 1), ([], "y\n", 0), (["--yes"], "", 0)])
def test_on_a_terminal_all_are_discarded_after_a_question_or_with_yes(
    database: str, monkeypatch: pytest.MonkeyPatch, options: list[str], answer: str, left: int
) -> None:
    dead(a_task(), database=database)
    # The runner puts a stream of its own in the place of standard input, whatever it is.
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("entrypoints.cli_dead_letters.sys", terminal)

    done = CliRunner().invoke(app, ["dead-letters", "discard", "--all", *options], input=answer)

    assert done.exit_code == left
    assert ("Give up everything that waits?" in done.output) == (not options)
    assert len(waiting()) == left


def test_a_filter_chooses_what_is_listed_and_what_is_done(database: str) -> None:
    dead(a_task(subject="order-7"), a_delivery(subject="order-7"), database=database)
    (other,) = dead(a_task(subject="order-8"), database=database, why="no such mailbox")

    listed = json.loads(desk("list", "--json", "--lane", "task", "--subject", "order-7").stdout)
    done = json.loads(desk("discard", "--all", "--reason", "mailbox", "--name", "send_", "--json").stdout)
    both = desk("replay", "an-id", "--reason", "mailbox")

    assert [(each["lane"], each["subject"]) for each in listed] == [("task", "order-7")]
    assert done == [{"id": other, "outcome": "discarded"}]
    assert len(waiting()) == 2
    assert both.exit_code == 2


def test_an_unknown_id_among_known_ones_is_told_and_the_others_are_done(database: str) -> None:
    (letter,) = dead(a_task(), database=database)

    done = desk("replay", "nobody", letter, "--json")

    assert done.exit_code == 1
    assert json.loads(done.stdout) == [
        {"id": letter, "outcome": "replayed"},
        {"id": "nobody", "outcome": "not-found"},
    ]
    assert waiting() == []
