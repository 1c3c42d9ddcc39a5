import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from entrypoints.cli import app
from entrypoints.settings import Settings, SettingsError
from entrypoints.settings_ports import KafkaBroker, PostgresqlPersistence, SqlitePersistence
from entrypoints.settings_sources import Origin, Problem

CANARY = "canary-7f3a9c"
KAFKA = {
    "CROSSDOCK_EVENT_BROKER": "kafka",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_USERNAME": "ann",
}

run = CliRunner()


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Makes a file and gives its path."""

    def make(content: str | bytes, name: str = "file") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of secrets, empty as yet."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


def refused(environ: dict[str, str], dotenv: Path | None = None) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ, dotenv)
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    return caught.value.problems


def token_of(settings: Settings) -> str | None:
    token = settings.server.operator_token
    return None if token is None else token.get_secret_value()


# One file


@pytest.mark.parametrize("content", [CANARY, f"{CANARY}\n", f"{CANARY}\r\n", f"\ufeff{CANARY}"])
def test_a_setting_is_read_from_the_file_that_is_named_for_it(file: Callable[..., str], content: str) -> None:
    path = file(content)

    settings = Settings.load({"CROSSDOCK_OPERATOR_TOKEN_FILE": path}, None)

    assert token_of(settings) == CANARY
    assert settings.secrets == (CANARY,)
    (line,) = (line for line in settings.lines if line.variable.name == "CROSSDOCK_OPERATOR_TOKEN")
    assert (line.shown, line.origin, line.file) == ("***", Origin.FILE, Path(path))


def test_each_setting_may_be_given_as_a_file(file: Callable[..., str]) -> None:
    """Also those without a secret, and by the names that others gave them: one rule without exceptions."""
    by_itself = {line.variable.name: line.default for line in Settings.defaults().lines if line.default}
    in_files = {f"{name}_FILE": file(f"{value}\n", name) for name, value in by_itself.items()}

    settings = Settings.load(in_files, None)

    assert {line.variable.name for line in settings.lines if line.origin is Origin.FILE} == set(by_itself)
    assert settings.persistence == Settings.defaults().persistence
    assert settings.server == Settings.defaults().server


def test_no_setting_is_called_like_the_file_of_another() -> None:
    names = {line.variable.name for line in Settings.defaults().lines}

    assert [name for name in names if f"{name}_FILE" in names] == []


def test_a_choice_in_a_file_chooses_and_a_password_in_one_is_a_secret(file: Callable[..., str]) -> None:
    settings = Settings.load(
        {
            **KAFKA,
            "DATABASE_URL_FILE": file(f"postgresql://app:{CANARY}-1@db.example/crossdock\n", "database"),
            "KAFKA_SASL_PASSWORD_FILE": file(f"{CANARY}-2\n", "kafka"),
            "OPEN_WEATHER_API_KEY_FILE": file(f"{CANARY}-3\n", "weather"),
        },
        None,
    )

    assert isinstance(settings.persistence, PostgresqlPersistence)
    assert isinstance(settings.event_broker, KafkaBroker)
    assert settings.event_broker.password == SecretStr(f"{CANARY}-2")
    assert settings.weather.backend == "openweather"
    assert set(settings.secrets) == {f"{CANARY}-{number}" for number in (1, 2, 3)}
    assert not [line.shown for line in settings.lines if CANARY in line.shown]


def test_the_file_may_be_named_in_dotenv_and_the_environment_wins(tmp_path: Path, file: Callable[..., str]) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"CROSSDOCK_OPERATOR_TOKEN_FILE={file(CANARY)}\nPORT_FILE=/nowhere\n")

    settings = Settings.load({"PORT": "8002"}, dotenv)

    assert (token_of(settings), settings.server.port) == (CANARY, 8002)


def test_an_empty_name_of_a_file_counts_as_none(file: Callable[..., str]) -> None:
    environ = {"CROSSDOCK_OPERATOR_TOKEN_FILE": "", "PORT": "", "PORT_FILE": file("8003")}

    settings = Settings.load(environ, None)

    assert (token_of(settings), settings.server.port) == (None, 8003)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (f"{CANARY}\n{CANARY}\n", "holds more than one line"),
        (f"{CANARY}\n\n", "holds more than one line"),
        (f"{CANARY}\0", "holds more than one line"),
        (CANARY.encode() + b"\xff", "is no text in UTF-8"),
        (CANARY * 10_000, "is larger than 64 KiB"),
    ],
)
def test_a_file_that_holds_no_value_is_refused_with_the_reason(
    file: Callable[..., str], content: str | bytes, why: str
) -> None:
    problems = refused({"CROSSDOCK_OPERATOR_TOKEN_FILE": file(content)})

    assert problems == (
        Problem(
            "CROSSDOCK_OPERATOR_TOKEN_FILE",
            f"names a file that {why}",
            "the path of a text file of one line, at most 64 KiB",
        ),
    )


@pytest.mark.parametrize(
    ("path", "why"),
    [("no/such/file", "does not exist"), ("/", "is no regular file"), (f"{CANARY}\0", "does not exist")],
)
def test_a_path_that_leads_to_no_file_is_refused_and_not_repeated(path: str, why: str) -> None:
    """It may be the secret itself, given by mistake."""
    (problem,) = refused({"CROSSDOCK_OPERATOR_TOKEN_FILE": path})

    assert problem.variable == "CROSSDOCK_OPERATOR_TOKEN_FILE"
    assert problem.wrong == f"names a file that {why}"


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    (problem,) = refused({"CROSSDOCK_OPERATOR_TOKEN_FILE": str(pipe)})

    assert problem.wrong == "names a file that is no regular file"


def test_a_file_that_cannot_be_read_is_refused() -> None:
    unreadable = "/proc/self/mem"  # even root gets an error for its first byte

    (problem,) = refused({"CROSSDOCK_OPERATOR_TOKEN_FILE": unreadable})

    assert problem.wrong.startswith("names a file that cannot be read (")


def test_a_value_and_a_file_for_the_same_setting_are_refused_together(file: Callable[..., str]) -> None:
    (problem,) = refused({"CROSSDOCK_OPERATOR_TOKEN": CANARY, "CROSSDOCK_OPERATOR_TOKEN_FILE": file(CANARY)})

    assert problem == Problem(
        "CROSSDOCK_OPERATOR_TOKEN",
        "is given twice: by itself and by CROSSDOCK_OPERATOR_TOKEN_FILE",
        "one of them",
    )


def test_what_could_not_be_read_is_not_told_as_missing_as_well() -> None:
    (problem,) = refused({**KAFKA, "KAFKA_SASL_PASSWORD_FILE": "/nowhere"})

    assert problem.variable == "KAFKA_SASL_PASSWORD_FILE"


@pytest.mark.parametrize("name", ["CROSSDOCK_OPERATER_TOKEN_FILE", "CROSSDOCK_SECRETS_DIR_FILE", "CROSSDOCK_QQQ_FILE"])
def test_a_file_for_no_setting_is_refused_by_name(name: str) -> None:
    (problem,) = refused({name: CANARY})

    assert problem.variable == name
    assert problem.wrong.startswith("is unknown")


def test_a_misspelt_name_of_a_file_is_told_with_the_one_that_was_meant() -> None:
    (problem,) = refused({"CROSSDOCK_OPERATER_TOKEN_FILE": "/nowhere"})

    assert problem.wrong == "is unknown; did you mean CROSSDOCK_OPERATOR_TOKEN_FILE?"


@pytest.mark.parametrize(
    "variable",
    [
        "PORT",
        "HOST",
        "DATABASE_URL",
        "CROSSDOCK_EVENT_BROKER",
        "CROSSDOCK_WEATHER",
        "CROSSDOCK_WEATHER_QUOTA",
        "CROSSDOCK_TRUSTED_PROXIES",
        "CROSSDOCK_LOG_LEVEL",
        "CROSSDOCK_CACHE",
    ],
)
def test_nothing_of_a_file_is_shown_when_its_value_is_refused(file: Callable[..., str], variable: str) -> None:
    """It may be the file of another setting, with a password in it."""
    (problem,) = refused({f"{variable}_FILE": file(f"{CANARY} , {CANARY}")})

    assert problem.variable == variable
    assert problem.wrong.startswith("the value (not shown) is ")


def test_why_a_secret_of_a_file_is_refused_is_told(file: Callable[..., str]) -> None:
    (problem,) = refused({"CROSSDOCK_OPERATOR_TOKEN_FILE": file(f"{CANARY} {CANARY}")})

    assert problem.wrong == "the value (not shown) cannot be sent in a header"


# A folder


def test_a_folder_holds_settings_in_files_with_their_names(folder: Path) -> None:
    folder.joinpath("CROSSDOCK_OPERATOR_TOKEN").write_text(f"{CANARY}-1\n")
    folder.joinpath("open_weather_api_key").write_text(f"{CANARY}-2\n")

    settings = Settings.load({"CROSSDOCK_SECRETS_DIR": str(folder)}, None)

    assert token_of(settings) == f"{CANARY}-1"
    assert set(settings.secrets) == {f"{CANARY}-1", f"{CANARY}-2"}
    files = {line.variable.name: line.file for line in settings.lines if line.origin is Origin.FILE}
    assert files == {
        "CROSSDOCK_OPERATOR_TOKEN": folder / "CROSSDOCK_OPERATOR_TOKEN",
        "OPEN_WEATHER_API_KEY": folder / "open_weather_api_key",
    }


def test_what_is_laid_beside_the_files_of_a_folder_is_passed_by(folder: Path) -> None:
    """Secrets of others in the same folder, and what Kubernetes has there: links into a folder with a dot."""
    data = folder / "..2026_11_23"
    data.mkdir()
    data.joinpath("PORT").write_text("8004")
    folder.joinpath("..data").symlink_to(data)
    folder.joinpath("PORT").symlink_to("..data/PORT")
    folder.joinpath("postgres_password").write_text(CANARY)
    folder.joinpath("Host").write_text(CANARY)

    settings = Settings.load({"CROSSDOCK_SECRETS_DIR": str(folder)}, None)

    assert (settings.server.port, settings.server.host) == (8004, "127.0.0.1")


@pytest.mark.parametrize(
    ("environ", "dotenv"), [({"PORT": "8005"}, ""), ({}, "PORT=8005"), ({"PORT_FILE": "5"}, ""), ({"PORT": ""}, "")]
)
def test_the_environment_and_dotenv_win_over_the_folder(
    tmp_path: Path, folder: Path, environ: dict[str, str], dotenv: str
) -> None:
    folder.joinpath("PORT").write_text("8004")
    (tmp_path / "5").write_text("8005")
    (tmp_path / ".env").write_text(f"CROSSDOCK_SECRETS_DIR={folder}\n{dotenv}\n")
    environ = {name: str(tmp_path / value) if name == "PORT_FILE" else value for name, value in environ.items()}

    settings = Settings.load(environ, tmp_path / ".env")

    assert settings.server.port == (8000 if environ == {"PORT": ""} else 8005)


@pytest.mark.parametrize(
    ("files", "variable", "wrong"),
    [
        (("CROSSDOCK_GRACE",), "CROSSDOCK_GRACE", "is a file in CROSSDOCK_SECRETS_DIR that is empty"),
        (("GRACE/x",), None, None),
        (("CROSSDOCK_CASH",), "CROSSDOCK_CASH", "is unknown; did you mean CROSSDOCK_CACHE?"),
        (("crossdock_cash",), "CROSSDOCK_CASH", "is unknown; did you mean CROSSDOCK_CACHE?"),
        (("CROSSDOCK_GRACE/x",), "CROSSDOCK_GRACE", "is a file in CROSSDOCK_SECRETS_DIR that is no regular file"),
        (
            ("CROSSDOCK_GRACE", "crossdock_grace"),
            "CROSSDOCK_GRACE",
            "is given twice in CROSSDOCK_SECRETS_DIR: in capitals and in small letters",
        ),
    ],
)
def test_a_file_of_the_folder_that_holds_no_value_is_refused(
    folder: Path, files: tuple[str, ...], variable: str | None, wrong: str | None
) -> None:
    for file in files:
        folder.joinpath(file).parent.mkdir(exist_ok=True)
        folder.joinpath(file).touch()
    environ = {"CROSSDOCK_SECRETS_DIR": str(folder)}

    if variable is None:
        Settings.load(environ, None)
    else:
        (problem,) = refused(environ)
        assert (problem.variable, problem.wrong) == (variable, wrong)


@pytest.mark.parametrize("path", ["/no/such/folder", __file__])
def test_a_folder_that_cannot_be_read_is_refused(path: str) -> None:
    (problem,) = refused({"CROSSDOCK_SECRETS_DIR": path})

    assert problem.variable == "CROSSDOCK_SECRETS_DIR"
    assert problem.wrong.startswith("is no folder that can be read here")


# Where it stands


def test_a_refusal_says_where_the_value_stands(tmp_path: Path, folder: Path, file: Callable[..., str]) -> None:
    """Without the paths: one may be a secret, given by mistake."""
    folder.joinpath("crossdock_grace").write_text("x")
    dotenv = tmp_path / ".env"
    dotenv.write_text("HOST=a b\nCROSSDOCK_CASH=1\nCROSSDOCK_CACHE=disk\nMAIL_FROM_FILE=/nowhere\n")

    problems = refused(
        {
            "PORT_FILE": file("x"),
            "CROSSDOCK_SECRETS_DIR": str(folder),
            "CROSSDOCK_MAILER": "smtp",
            "SMTP_URL": "nonsense",
        },
        dotenv,
    )

    assert {problem.variable: problem.where for problem in problems} == {
        "PORT": "the file that PORT_FILE names",
        "CROSSDOCK_GRACE": "the file crossdock_grace of CROSSDOCK_SECRETS_DIR",
        "HOST": ".env",
        "CROSSDOCK_CASH": ".env",
        "CROSSDOCK_CACHE": ".env",
        "MAIL_FROM_FILE": ".env",
        "SMTP_URL": "",
    }
    assert str(tmp_path) not in str(SettingsError(problems))


# On the command line


@pytest.mark.usefixtures("logging_as_it_was")
def test_a_command_says_where_the_value_that_it_refuses_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("CROSSDOCK_GRACE=x\n")

    stopped = run.invoke(app, ["config"])

    assert stopped.exit_code == 2
    assert "'x' is not allowed\n    allowed: 0 to 3600\n    stands in: .env\n" in stopped.stderr


@pytest.mark.usefixtures("logging_as_it_was")
def test_config_shows_the_file_that_a_setting_comes_from(
    file: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    path = file(CANARY)

    table = run.invoke(app, ["config"], env={"CROSSDOCK_OPERATOR_TOKEN_FILE": path, "COLUMNS": "400"})
    document = run.invoke(app, ["config", "--json"], env={"CROSSDOCK_OPERATOR_TOKEN_FILE": path})

    (row,) = (line for line in table.output.splitlines() if "CROSSDOCK_OPERATOR_TOKEN" in line)
    assert row.split() == ["CROSSDOCK_OPERATOR_TOKEN", "***", "file", path]
    told = json.loads(document.output)
    assert told["CROSSDOCK_OPERATOR_TOKEN"] | {"default": ""} == {
        "value": "***",
        "origin": "file",
        "file": path,
        "default": "",
        "port": "server",
        "used": True,
    }
    assert "file" not in told["PORT"]
    assert CANARY not in table.output + document.output


@pytest.mark.usefixtures("logging_as_it_was")
def test_a_file_that_is_not_there_stops_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    stopped = run.invoke(app, ["migrate"], env={"DATABASE_URL_FILE": "/nowhere", "PORT": "x"})

    assert stopped.exit_code == 2
    assert "2 settings cannot be used" in stopped.stderr
    assert "  DATABASE_URL_FILE\n    names a file that does not exist\n    allowed: the path of a" in stopped.stderr


def test_a_relative_database_of_a_file_is_where_it_would_be_by_itself(file: Callable[..., str]) -> None:
    settings = Settings.load({"DATABASE_URL_FILE": file("sqlite:///orders.db\n")}, None)

    assert settings.persistence == SqlitePersistence(path=Path("orders.db"))
