"""What is reported to Sentry, how often, and what is never in it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from domain.delivery.failures import say_dead
from entrypoints import observability
from entrypoints.observability import configure_logging
from entrypoints.sentry import ALL_MOST, LIKE_MOST, Sentry
from entrypoints.settings import Settings, SettingsError
from ports.errors import Rejected, Unavailable
from ports.log_context import Handled, Handling
from ports.told_once import ToldOnce
from ports.trace_context import following, trace_from
from tests.logged import for_request

CANARY = "canary-7f3a9c"
DSN = f"https://{CANARY}@sentry.example/7"
log = logging.getLogger("crossdock.test")

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


class Kept(Transport):
    """Keeps what would be sent, as it would be sent."""

    reports: list[dict[str, Any]]

    def capture_envelope(self, envelope: Envelope) -> None:
        self.reports.extend(json.loads(item.get_bytes()) for item in envelope.items)


class Time:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def reports(time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    kept = type("KeptHere", (Kept,), {"reports": found})
    settings = Settings.load({"SENTRY_DSN": DSN, "SENTRY_RELEASE": "crossdock@9.9"}, None)
    configure_logging("json", "info", stream=io.StringIO())
    sentry = Sentry(
        settings.errors,
        role="consumer",
        environment="test",
        secrets=[*settings.secrets, "pass-7f3a9c"],
        now=time,
        transport=kept,
    )
    monkeypatch.setattr(observability._Reports, "to", sentry)
    yield found
    sentry.close()


def fail(logger: Any, text: str = "failed", message: str = "too much", **named: str) -> None:
    secret = CANARY  # noqa: F841 - a variable of a frame that is reported
    try:
        raise ValueError(message)
    except ValueError:
        logger.exception(text, **named)


@pytest.mark.parametrize("logger", [structlog.get_logger("crossdock.web"), logging.getLogger("crossdock.web")])
def test_an_error_that_nobody_foresaw_is_reported_with_where_and_what_for(
    reports: list[dict[str, Any]], logger: Any
) -> None:
    with for_request("r-1"), following(trace_from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")):
        fail(logger, "request failed")

    (report,) = reports
    assert (report["release"], report["environment"]) == ("crossdock@9.9", "test")
    assert report["tags"] == {"role": "consumer", "request_id": "r-1", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    assert report["contexts"]["trace"]["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    (error,) = report["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", "too much")
    assert error["stacktrace"]["frames"][-1]["function"] == "fail"
    assert report["logentry"]["formatted"] == "request failed"


def test_what_has_died_is_reported_once_with_its_message_by_its_kind_and_reason(
    reports: list[dict[str, Any]],
) -> None:
    for number in (1, 1, 2):
        with Handling(Handled(f"m-{number}", "s-1", "orders")):
            why = f"no mailbox {number} for ann@example.com"
            say_dead(log, "send_welcome_email", why, "task %s is dead: %s", number, why)

    first, second = reports
    assert first["tags"]["message_id"] == "m-1"
    assert second["tags"]["message_id"] == "m-2"
    assert first["fingerprint"] == second["fingerprint"]
    assert first["fingerprint"] == ["dead-letter", "send_welcome_email", "no mailbox 0 for a***@example.com"]
    assert "ann@" not in json.dumps(reports)


def test_a_bug_that_made_something_die_is_reported_with_its_story(reports: list[dict[str, Any]]) -> None:
    try:
        raise KeyError("sku")
    except KeyError as error:
        say_dead(log, "send_welcome_email", "KeyError: 'sku'", "dead", failure=error)

    (report,) = reports
    assert report["exception"]["values"][0]["type"] == "KeyError"


def test_a_loop_that_crashes_again_and_again_is_reported_once(reports: list[dict[str, Any]]) -> None:
    told = ToldOnce(logging.getLogger("crossdock.delivery"), "it goes on")
    for _ in range(100):
        told.trouble("it failed", why=ValueError("a bug"), level=logging.ERROR)

    assert len(reports) == 1


def test_refusals_and_outages_are_not_reported(reports: list[dict[str, Any]]) -> None:
    told = ToldOnce(logging.getLogger("crossdock.delivery"), "it goes on")
    told.trouble("it waits", why=Unavailable("away"))
    log.error("a provider refuses: %s", Rejected("no such key"))
    log.warning("slow")
    fail(logging.getLogger("celery.worker.consumer"), "Cannot connect")

    assert reports == []


def test_one_mistake_is_reported_now_and_then_however_often_it_is_made(
    reports: list[dict[str, Any]], time: Time
) -> None:
    for _ in range(100):
        fail(log)
    in_a_minute = len(reports)
    time.now += 60
    for _ in range(100):
        fail(log)

    assert (in_a_minute, len(reports)) == (LIKE_MOST, 2 * LIKE_MOST)


def test_many_mistakes_are_reported_up_to_a_bound(reports: list[dict[str, Any]]) -> None:
    for number in range(10 * ALL_MOST):
        say_dead(log, f"task-{number}", "no", "dead", failure=None)
        with Handling(Handled(f"m-{number}")):
            say_dead(log, f"task-{number}", "no", "dead", failure=None)

    assert len(reports) == ALL_MOST


def test_no_secret_no_address_and_no_variable_is_in_a_report(reports: list[dict[str, Any]]) -> None:
    password = CANARY  # noqa: F841 - a variable of a frame that is reported
    text = f"amqp://app:{CANARY}@mq.example/ said pass-7f3a9c to ann@example.com, token={CANARY}"
    with for_request("r-1"):
        fail(structlog.get_logger("crossdock.web"), text, text, password=CANARY, body=CANARY, token=CANARY)

    (report,) = reports
    told = json.dumps(report["exception"]["values"][0]["value"]) + json.dumps(report["logentry"]) + str(report["tags"])
    assert not [word for word in (CANARY, "pass-7f3a9c", "ann@") if word in told]
    assert "vars" not in json.dumps(report)
    assert not {"user", "request", "extra", "breadcrumbs", "modules"} & {
        name for name, value in report.items() if value
    }
    assert CANARY not in json.dumps(report).replace("CANARY", "")


def test_a_report_that_fails_fails_nobody(reports: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(Sentry, "_client", full)
    fail(log)

    assert reports == []


@pytest.mark.parametrize("dsn", ["sentry.example", "https://sentry.example/7", f"https://{CANARY}@sentry.example/"])
def test_an_address_that_is_no_project_is_refused_and_not_shown(dsn: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load({"SENTRY_DSN": dsn}, None)

    assert "SENTRY_DSN" in str(refused.value)
    assert CANARY not in str(refused.value)


def test_the_key_of_the_project_is_a_secret() -> None:
    settings = Settings.load({"SENTRY_DSN": DSN}, None)

    assert CANARY in settings.secrets
    assert CANARY not in repr(settings) + "".join(line.shown for line in settings.lines)
