"""`crossdock doctor` where everything is in this process."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from entrypoints.cli import app
from entrypoints.cures import cure
from entrypoints.doctor import examine, examine_until_well, is_well
from entrypoints.settings import Settings
from ports.trouble import Cause

IN_MEMORY = {"DATABASE_URL": "memory://", "CROSSDOCK_WEATHER": "sample"}

run = CliRunner()
pytestmark = pytest.mark.usefixtures("logging_as_it_was")


@pytest.fixture(autouse=True)
def _empty_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_in_memory_is_always_well() -> None:
    shown = run.invoke(app, ["doctor"], env=IN_MEMORY)

    assert shown.exit_code == 0
    assert "All is well." in shown.stdout
    assert "→" not in shown.stdout


def test_it_speaks_to_machines_as_readiness_does() -> None:
    shown = run.invoke(app, ["doctor", "--json"], env=IN_MEMORY)

    document: dict[str, Any] = json.loads(shown.stdout)
    assert (shown.exit_code, document["status"]) == (0, "ready")
    assert set(document["checks"]) == {
        *("settings", "storage", "schema", "event_broker"),
        *("task_queue", "cache", "mailer", "identity", "weather"),
    }
    assert document["checks"]["storage"] == {"status": "ready", "cause": "", "detail": "memory answers", "cure": ""}


def test_settings_that_cannot_be_used_are_told_as_everywhere() -> None:
    shown = run.invoke(app, ["doctor"], env={**IN_MEMORY, "CROSSDOCK_EVENT_BROKER": "kafak"})

    assert shown.exit_code == 2
    assert "allowed: memory, kafka, rabbitmq" in shown.stderr


def test_settings_that_cannot_be_used_together_are_told_as_everywhere() -> None:
    shown = run.invoke(app, ["doctor"], env={**IN_MEMORY, "CROSSDOCK_TASK_QUEUE": "celery"})

    assert shown.exit_code == 2
    assert "DATABASE_URL" in shown.stderr


def test_a_database_that_is_not_there_yet_is_told_with_what_makes_it_and_is_not_made(tmp_path: Path) -> None:
    shown = run.invoke(app, ["doctor"], env={**IN_MEMORY, "DATABASE_URL": "sqlite:///new.db"})

    assert shown.exit_code == 1
    assert "→ Run `crossdock migrate`" in shown.stdout
    assert "1 of 9 are not as they have to be." in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_after_migrating_it_is_well() -> None:
    environ = {**IN_MEMORY, "DATABASE_URL": "sqlite:///new.db"}
    assert run.invoke(app, ["migrate"], env=environ).exit_code == 0

    assert run.invoke(app, ["doctor"], env=environ).exit_code == 0


def test_weather_without_its_key_is_told_and_no_call_is_made() -> None:
    shown = run.invoke(app, ["doctor", "--json"], env={**IN_MEMORY, "CROSSDOCK_WEATHER": "openweather"})

    weather = json.loads(shown.stdout)["checks"]["weather"]
    assert shown.exit_code == 1
    assert weather["cause"] == "refused"
    assert "OPEN_WEATHER_API_KEY" in weather["cure"]


def test_the_weather_is_asked_when_that_is_wanted() -> None:
    shown = run.invoke(app, ["doctor", "--ask-weather"], env=IN_MEMORY)

    assert shown.exit_code == 0
    assert "sample answers" in shown.stdout


async def test_it_waits_until_all_is_well_and_no_longer(tmp_path: Path) -> None:
    settings = Settings.load({**IN_MEMORY, "DATABASE_URL": f"sqlite:///{tmp_path}/late.db"}, None)
    before = await examine(settings)
    waiting = asyncio.create_task(examine_until_well(settings, seconds=60))
    environ = {**IN_MEMORY, "DATABASE_URL": f"sqlite:///{tmp_path}/late.db"}
    await asyncio.to_thread(run.invoke, app, ["migrate"], env=environ)

    async with asyncio.timeout(30):
        found = await waiting

    assert not is_well(before)
    assert is_well(found)


async def test_a_file_that_is_no_database_has_no_old_schema(tmp_path: Path) -> None:
    """To migrate it would be of no use."""
    path = tmp_path / "crossdock.db"
    path.write_text("not a database, but long enough to be read as the head of one\n" * 20)

    found = await examine(Settings.load({**IN_MEMORY, "DATABASE_URL": f"sqlite:///{path}"}, None))

    (ill,) = [finding for finding in found if finding.status != "ready"]
    assert (ill.check, ill.cause) == ("storage", "refused")
    assert "migrate" not in ill.cure


async def test_it_gives_up_when_its_time_is_over(tmp_path: Path) -> None:
    settings = Settings.load({**IN_MEMORY, "DATABASE_URL": f"sqlite:///{tmp_path}/never.db"}, None)

    found = await examine_until_well(settings, seconds=0.1)

    assert [finding.check for finding in found if finding.status != "ready"] == ["schema"]


@pytest.mark.parametrize("check", ["storage", "event_broker", "topics", "task_queue", "cache", "mailer", "identity"])
def test_a_service_that_is_out_of_reach_is_told_with_its_setting(check: str) -> None:
    assert any(word.isupper() for word in cure(check, Cause.OUT_OF_REACH).replace(",", " ").split() if "_" in word)
