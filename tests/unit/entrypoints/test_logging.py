import io
import json
import logging
import os
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
import structlog

from entrypoints.log_fields import FIELDS, TEXT_MOST, identify
from entrypoints.observability import LogFormat, LogLevel, configure_logging, speak_as
from entrypoints.redaction import redact_text
from entrypoints.settings import Settings
from ports.log_context import Handled, Handling
from ports.trace_context import following, trace_from
from tests.logged import for_request

CANARY = "canary-7f3a9c"

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def lines(
    log: Callable[[], None], *, format: LogFormat = "json", level: LogLevel = "info", secrets: tuple[str, ...] = ()
) -> list[str]:
    stream = io.StringIO()
    configure_logging(format, level, secrets=secrets, stream=stream)
    log()
    return stream.getvalue().splitlines()


def document(log: Callable[[], None], **settings: Any) -> dict[str, Any]:
    (line,) = lines(log, **settings)
    found: dict[str, Any] = json.loads(line)
    return found


def log() -> Any:
    return structlog.get_logger("crossdock.test")


def test_a_json_line_uses_the_names_of_the_elastic_common_schema() -> None:
    found = document(lambda: log().info("request", method="GET", path="/orders/", status=200, duration_ms=1.5))

    assert datetime.fromisoformat(found.pop("@timestamp")).tzinfo is not None
    assert found.pop("process.pid") == os.getpid()
    assert found.pop("service.name") == "crossdock"
    found = {name: value for name, value in found.items() if not name.startswith("service.")}
    assert found == {
        "log.level": "info",
        "message": "request",
        "ecs.version": "8.17",
        "log.logger": "crossdock.test",
        "event.duration": 1_500_000,
        "http.request.method": "GET",
        "url.path": "/orders/",
        "http.response.status_code": 200,
    }


def test_what_libraries_log_looks_alike() -> None:
    found = document(lambda: logging.getLogger("uvicorn.error").warning("%s of %s", 1, 2))

    assert (found["message"], found["log.level"], found["log.logger"]) == ("1 of 2", "warning", "uvicorn.error")


@pytest.mark.parametrize("logger", [structlog.get_logger("crossdock.test"), logging.getLogger("uvicorn")])
def test_the_request_id_stands_on_each_line_that_is_written_for_it(logger: Any) -> None:
    with for_request("r-1"):
        found = document(lambda: logger.info("something"))

    assert found["http.request.id"] == "r-1"


@pytest.mark.parametrize("logger", [structlog.get_logger("crossdock.test"), logging.getLogger("uvicorn")])
def test_an_exception_is_told_with_its_story_and_without_local_values(logger: Any) -> None:
    def fail() -> None:
        password = CANARY  # noqa: F841 - what must not be shown
        try:
            raise ValueError("too much")
        except ValueError:
            logger.exception("failed")

    found = document(fail)

    assert (found["error.type"], found["error.message"]) == ("ValueError", "too much")
    assert found["error.stack_trace"].endswith("ValueError: too much")
    assert found["log.level"] == "error"
    assert CANARY not in found["error.stack_trace"].replace("password = CANARY", "")


def test_a_field_never_takes_the_place_of_what_each_line_has() -> None:
    found = document(lambda: log().info("the event", message="another"))

    assert (found["message"], found["labels.message"]) == ("the event", "another")


class Mute:
    """An object that cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize(
    "value", [float("nan"), UUID(int=7), b"bytes", {1: {2}}, Mute(), "\ud800", None, [Mute()], 10**30]
)
def test_a_line_is_written_whatever_its_values_are(format: LogFormat, value: object) -> None:
    (line,) = lines(lambda: log().info("odd", value=value), format=format)

    assert "odd" in line


def test_a_circle_is_written_too() -> None:
    circle: dict[str, object] = {}
    circle["self"] = circle

    (line,) = lines(lambda: log().info("odd", value=circle))

    assert json.loads(line)["message"] == "odd"


@pytest.mark.parametrize("format", ["json", "console"])
def test_control_characters_of_others_move_no_cursor_and_begin_no_line(format: LogFormat) -> None:
    evil = "\x1b[2J\r\n2026-01-01 [info] forged \x07\x9b\u2028\u202e"

    (line,) = lines(lambda: log().info(evil, value=evil), format=format)

    assert line.isprintable()


def test_a_forged_line_inside_of_an_exception_is_set_back() -> None:
    def fail() -> None:
        try:
            raise ValueError("bad\n2026-01-01T00:00:00Z [info     ] forged\x1b[2J")
        except ValueError:
            log().exception("failed")

    first, *rest = lines(fail, format="console")

    assert first.isprintable()
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize(
    "fields",
    [
        {"token": CANARY},
        {"operator_token": CANARY},
        {"password": CANARY},
        {"Authorization": f"Bearer {CANARY}"},
        {"http.request.headers.authorization": CANARY},
        {"appid": CANARY},
        {"api_key": CANARY},
        {"x-api-key": CANARY},
        {"client_secret": CANARY},
        {"set-cookie": CANARY},
        {"headers": {"Authorization": CANARY}},
        {"calls": [{"token": CANARY}]},
        {"url": f"postgresql://app:{CANARY}@db.example/crossdock"},
        {"url": f"https://{CANARY}@sentry.example/1"},
        {"url": f"https://api.example/weather?q=Oslo&appid={CANARY}&units=metric"},
        {"why": f"the header was Authorization: Bearer {CANARY}"},
        {"why": ValueError(f"https://api.example/?api_key={CANARY}")},
    ],
)
def test_what_is_named_or_looks_like_a_secret_is_masked(format: LogFormat, fields: dict[str, Any]) -> None:
    (line,) = lines(lambda: log().info("odd", **fields), format=format)

    assert CANARY not in line
    assert "***" in line


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("logger", [structlog.get_logger("crossdock.test"), logging.getLogger("somebody.else")])
def test_a_secret_that_was_given_is_masked_wherever_it_turns_up(format: LogFormat, logger: Any) -> None:
    secret = 'can"ary/ü+7'

    found = lines(lambda: logger.info("".join([secret, " can%22ary%2F%C3%BC%2B7"])), format=format, secrets=(secret,))

    assert "ary" not in found[0]


def test_a_secret_in_the_text_of_an_exception_is_masked() -> None:
    def fail() -> None:
        try:
            raise OSError(f"cannot connect to amqp://app:{CANARY}@mq.example:5672/")
        except OSError:
            log().exception("failed")

    (line,) = lines(fail)

    assert CANARY not in line


def test_what_is_no_secret_stays() -> None:
    text = "GET https://api.example/weather?q=Oslo&units=metric by ann@example, tokens: 3, celery@worker-1"

    assert redact_text(text) == text


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("logger", [structlog.get_logger("crossdock.test"), logging.getLogger("somebody.else")])
@pytest.mark.parametrize(
    "address",
    ["canary.7f+tag@mail.example.co.uk", "canary@müller.de", "canary%40example.com", "canary@xn--mller-kva.de"],
)
def test_of_a_mail_address_the_first_character_and_the_domain_are_left(
    format: LogFormat, logger: Any, address: str
) -> None:
    text = f"refused: <{address}>, '{address}' and to={address}"
    (line,) = lines(lambda: logger.info(text), format=format)

    assert "canary" not in line
    assert line.count("c***") == 3


@pytest.mark.parametrize("format", ["json", "console"])
def test_the_recipient_of_a_mail_that_is_only_logged_can_be_read(format: LogFormat) -> None:
    def send() -> None:
        named = {"mail_id": "<7@crossdock.example>", "mail_to": "ann@example.com", "mail_subject": "Welcome"}
        structlog.get_logger("crossdock.mail").info("mail", **named)

    (line,) = lines(send, format=format)

    assert "ann@example.com" in line
    assert "<7@crossdock.example>" in line


def test_a_long_text_without_an_address_takes_no_long_time() -> None:
    for evil in ("a@" * 50_000, "a." * 50_000 + "@", "@a." * 50_000, "x" * 500_000):
        assert redact_text(evil) == evil


@pytest.mark.parametrize("value", [7, 7.5, True, "seven", {"of": 7}, [7], UUID(int=7)])
def test_a_field_that_is_not_in_the_schema_is_a_text_whatever_it_holds(value: object) -> None:
    found = document(lambda: log().info("odd", **{"some.name": value}))

    assert isinstance(found["labels.some_name"], str)


@pytest.mark.parametrize("odd", [{"status": "gone"}, {"path": 7}, {"request_id": None}, {"method": {"a": 1}}])
def test_a_field_of_the_schema_has_its_type_or_is_not_there(odd: dict[str, Any]) -> None:
    found = document(lambda: log().info("odd", **odd))

    ((name, _),) = odd.items()
    assert FIELDS[name][0] not in found


def test_what_a_library_adds_to_its_records_is_kept_only_under_names_that_we_know() -> None:
    extra = {"request_id": "r-1", "status": 200, "color_message": "x", "data": {"a": 1}}
    found = document(lambda: logging.getLogger("uvicorn").warning("hello", extra=extra))

    assert (found["http.request.id"], found["http.response.status_code"]) == ("r-1", 200)
    assert not [name for name in found if name.startswith("labels.")]


@pytest.mark.parametrize("logger", [structlog.get_logger("crossdock.test"), logging.getLogger("uvicorn")])
def test_the_message_that_is_being_handled_stands_on_each_line_meanwhile(logger: Any) -> None:
    with Handling(Handled("m-1", "s-1", "orders")):
        inside = document(lambda: logger.info("something"))
    outside = document(lambda: logger.info("something"))

    names = ("labels.message_id", "labels.subject", "labels.topic")
    assert [inside.get(name) for name in names] == ["m-1", "s-1", "orders"]
    assert [outside.get(name) for name in names] == [None] * 3


def test_a_very_long_text_keeps_its_beginning_and_its_end() -> None:
    found = document(lambda: log().info("long", value=f"begin{'x' * 1_000_000}end"))

    value = found["labels.value"]
    assert (value[:5], value[-3:]) == ("begin", "end")
    assert len(value) < TEXT_MOST + 10


def test_a_process_that_lasts_says_its_part_and_tells_warnings_by_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for hook in ("excepthook", "threading.excepthook"):
        monkeypatch.setattr(f"sys.{hook}" if "." not in hook else hook, lambda *_: None)

    def warn() -> None:
        speak_as("relay", Settings.defaults())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                logging.captureWarnings(capture=True)
                warnings.warn("an odd thing", stacklevel=1)
        finally:
            logging.captureWarnings(capture=False)

    found = document(warn)

    assert (found["service.node.roles"], found["log.logger"]) == ("relay", "py.warnings")
    assert "an odd thing" in found["message"]


def test_datadog_finds_the_trace_by_the_lower_half_of_its_id_and_the_service_by_its_tags() -> None:
    place = trace_from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    identify(name="shop", version="7.7.7", environment="rehearsal")
    try:
        with following(place):
            found = document(lambda: log().info("something"), format="datadog")
    finally:
        identify(name="crossdock", version="0.1.0")

    assert found["trace.id"] == "0af7651916cd43dd8448eb211c80319c"
    assert (found["dd.trace_id"], found["dd.span_id"]) == ("9532127138774266268", "13235353014750950193")
    assert [found[f"dd.{tag}"] for tag in ("service", "env", "version")] == ["shop", "rehearsal", "7.7.7"]


def test_less_than_the_level_is_not_written() -> None:
    def say() -> None:
        structlog.get_logger("crossdock.level").info("ours")
        logging.getLogger("uvicorn").info("theirs")

    assert lines(say, level="warning") == []


def test_libraries_that_write_whole_addresses_are_quiet_unless_debugging() -> None:
    def say() -> None:
        logging.getLogger("httpx").info("GET https://api.example/")

    assert lines(say) == []
    assert len(lines(say, level="debug")) == 1


def test_auto_is_console_on_a_terminal_and_json_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal, file = Terminal(), io.StringIO()

    for stream in (terminal, file):
        configure_logging("auto", "info", stream=stream)
        structlog.get_logger("crossdock.auto").info("hello")

    assert "[info     ] hello" in terminal.getvalue()
    assert json.loads(file.getvalue())["message"] == "hello"


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_unless_they_are_not_wanted(
    monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    terminal = Terminal()

    configure_logging("console", "info", stream=terminal)
    structlog.get_logger("crossdock.colours").info("hello")

    assert ("\x1b[" in terminal.getvalue()) is coloured


def test_a_stream_that_is_closed_fails_nobody() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    stream.close()

    structlog.get_logger("crossdock.closed").info("to nobody")
