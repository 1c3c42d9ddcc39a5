import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from entrypoints.cli import app

CANARY = "canary-7f3a9c"
COMMANDS = ("up", "migrate", "config", "doctor", "openapi", "dead-letters")

run = CliRunner()
pytestmark = pytest.mark.usefixtures("logging_as_it_was")


@pytest.fixture(autouse=True)
def _empty_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working directory without `.env`, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "PORT", "HOST", "OPEN_WEATHER_API_KEY", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)


def test_help_shows_each_command_in_a_line() -> None:
    shown = run.invoke(app, ["--help"], env={"COLUMNS": "80"})

    assert shown.exit_code == 0
    lines = [line.strip("│ ") for line in shown.output.splitlines()]
    for command in COMMANDS:
        (line,) = (line for line in lines if line.startswith(f"{command} "))
        assert line.endswith(".")


@pytest.mark.parametrize("role", ["api", "relay", "consumer", "worker"])
def test_what_is_not_part_of_this_release_is_no_command(role: str) -> None:
    refused = run.invoke(app, [role])

    assert refused.exit_code == 2


def test_config_shows_each_setting_with_its_origin() -> None:
    Path(".env").write_text("CROSSDOCK_GRACE=3\n")

    shown = run.invoke(app, ["config"], env={"PORT": "8123"})

    assert shown.exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in shown.output.splitlines() if line.startswith("  ")}
    assert rows["PORT"] == ["8123", "environment"]
    assert rows["CROSSDOCK_GRACE"] == ["3", ".env"]
    assert rows["HOST"] == ["127.0.0.1", "default"]


def test_config_is_given_to_machines_as_json() -> None:
    shown = run.invoke(app, ["config", "--json"], env={"CROSSDOCK_WEATHER": "sample"})

    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["CROSSDOCK_WEATHER"] == {
        "value": "sample",
        "origin": "environment",
        "default": "auto",
        "port": "weather",
        "used": True,
    }


@pytest.mark.parametrize("arguments", [["config"], ["config", "--json"]])
def test_config_masks_secrets(arguments: list[str]) -> None:
    environ = {"OPEN_WEATHER_API_KEY": CANARY, "CROSSDOCK_OPERATOR_TOKEN": CANARY}

    shown = run.invoke(app, arguments, env=environ)

    assert shown.exit_code == 0
    assert CANARY not in shown.output
    assert "***" in shown.output


@pytest.mark.parametrize("command", [["up"], ["migrate"], ["config"], ["dead-letters", "list"]])
def test_bad_settings_stop_each_command_with_one_list(command: list[str]) -> None:
    environ = {
        "CROSSDOCK_EVENT_BROKER": "nats",
        "CROSSDOCK_OPERATOR_TOKEN": f"{CANARY} {CANARY}",
        "DATABASE_URL": f"mysql://app:{CANARY}@db.example/crossdock",
    }

    refused = run.invoke(app, command, env=environ)

    assert refused.exit_code == 2
    assert "3 settings cannot be used" in refused.stderr
    assert "CROSSDOCK_EVENT_BROKER\n    'nats' is not known\n    allowed: memory, kafka, rabbitmq" in refused.stderr
    assert "DATABASE_URL\n    'mysql://app:***@db.example/crossdock'" in refused.stderr
    assert CANARY not in refused.output
    assert refused.stdout == ""


def test_a_name_that_may_be_meant_for_us_is_pointed_out_by_each_command() -> None:
    told = run.invoke(app, ["config", "--json"], env={"REDIS_UL": CANARY})

    assert told.exit_code == 0
    assert told.stderr == "crossdock: REDIS_UL is read by nobody here; did you mean REDIS_URL?\n"
    assert json.loads(told.stdout)


@pytest.mark.parametrize(("columns", "widest"), [("80", 80), ("", 240)])
def test_a_table_is_as_wide_as_it_is_told_where_there_is_no_terminal(columns: str, widest: int) -> None:
    shown = run.invoke(app, ["config"], env={"COLUMNS": columns})

    assert max(map(len, shown.output.splitlines())) <= widest
    assert any("not used by this choice" in line for line in shown.output.splitlines()) == (widest > 80)


@pytest.mark.parametrize("command", [[], ["config"], ["dead-letters"], ["dead-letters", "discard"]])
def test_help_shows_no_type_for_what_is_only_switched_on(command: list[str]) -> None:
    shown = run.invoke(app, [*command, "--help"])

    assert shown.exit_code == 0
    assert "bool" not in shown.output


@pytest.mark.parametrize(("arguments", "environ"), [(["--workers", "2"], {}), ([], {"WEB_CONCURRENCY": "4"})])
def test_up_with_several_workers_is_refused_with_the_reason(arguments: list[str], environ: dict[str, str]) -> None:
    refused = run.invoke(app, ["up", *arguments], env={"COLUMNS": "500", **environ})

    assert refused.exit_code == 2
    assert "in-memory broker" in refused.stderr


def test_the_desk_of_a_database_in_memory_is_in_the_running_process_alone() -> None:
    refused = run.invoke(app, ["dead-letters", "list"], env={"DATABASE_URL": "memory://"})

    assert refused.exit_code == 1
    assert "running process" in refused.stderr


@pytest.mark.parametrize("arguments", [["replay"], ["discard"], ["replay", "--all", "an-id"]])
def test_the_desk_wants_either_ids_or_all(arguments: list[str]) -> None:
    refused = run.invoke(app, ["dead-letters", *arguments])

    assert refused.exit_code == 2


def test_help_loads_nothing_of_the_service() -> None:
    """Help comes at once: no framework, no adapter, no settings are imported for it."""
    code = (
        "import sys; from entrypoints.cli import app\n"
        "loaded = {'fastapi', 'sqlalchemy', 'pydantic', 'uvicorn', 'rich', 'adapters'} & set(sys.modules)\n"
        "sys.exit(f'{loaded}' if loaded else 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
