"""The quick way to the line of a request comes to the same as the chain that all other lines pass."""

import io
import json
import os
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from entrypoints import request_lines
from entrypoints.log_fields import identify
from entrypoints.log_level import enough
from entrypoints.observability import LogFormat, configure_logging
from entrypoints.request_lines import KINDS_MOST, RequestLines
from entrypoints.web.access_log import log_access
from entrypoints.web.errors import PROBLEM
from ports.log_context import Handled, Handling
from ports.trace_context import TraceContext, following, trace_from
from tests.logged import for_request

TRACE = trace_from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


def a_request(*, method: str = "GET", route: str | None = "/orders/{id}", problem: str | None = None) -> dict[str, Any]:
    scope: dict[str, Any] = {"method": method, "path": "/orders/7", "raw_path": b"/orders/7", "headers": []}
    if route is not None:
        scope["route"] = SimpleNamespace(path_format=route)
    if problem is not None:
        scope[PROBLEM] = problem
    return scope


def told(
    scope: dict[str, Any],
    *,
    request_id: str = "r-1",
    trace: TraceContext | None = None,
    quick: bool = True,
    times: int = 2,  # the first makes what the second finds
    format: LogFormat = "json",
    secrets: tuple[str, ...] = (),
) -> str:
    stream = io.StringIO()
    configure_logging(format, "info", secrets=secrets, stream=stream)
    if not quick:
        request_lines.use(None)
    with for_request(request_id), following(trace):
        for _ in range(times):
            log_access(scope, 200, 0.0015)
    return stream.getvalue().splitlines()[-1]


def some_lines(made: list[EventDict], written: list[str]) -> RequestLines:
    def render(event: EventDict) -> str:
        made.append(event)
        return json.dumps({"@timestamp": "now", "message": "request", "ecs.version": "1"})

    return RequestLines([enough], render=render, hidden=str, write=written.append)


def fields(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    del found["@timestamp"]
    return found


@pytest.mark.parametrize("trace", [None, TRACE])
@pytest.mark.parametrize(
    "scope",
    [
        a_request(),
        a_request(method="HEAD", route="/weather/{city}"),
        a_request(method="BREW", problem="not-found"),
        a_request(route='/a "quoted"/ecs.version": /token=canary/{id}'),
        a_request(route=None),
    ],
)
@pytest.mark.parametrize("request_id", ["r-1", "a:b/c+d", "token=canary", "ann@example.com", "with space", 'quo"ted'])
def test_the_line_says_what_the_chain_would_say(
    scope: dict[str, Any], trace: TraceContext | None, request_id: str
) -> None:
    """The same fields with the same values, masked alike."""
    quick = told(scope, request_id=request_id, trace=trace)

    assert fields(quick) == fields(told(scope, request_id=request_id, trace=trace, quick=False))
    assert "canary" not in quick


def test_a_line_begins_as_all_do() -> None:
    """Moment, level and message are the first of each line, for people who read them as they are."""
    assert list(json.loads(told(a_request())))[:3] == ["@timestamp", "log.level", "message"]


def test_the_usual_line_is_made_once() -> None:
    """What this is for: the chain costs more than the rest of the line."""
    made: list[EventDict] = []
    written: list[str] = []
    lines = some_lines(made, written)

    with for_request("r-1"):
        request_lines.use(lines)
        for _ in range(3):
            log_access(a_request(), 200, 0.0015)

    assert (len(made), len(written)) == (1, 3)


def test_who_takes_the_place_of_the_chain_sees_these_lines_too() -> None:
    """A test that captures what is logged, for one."""
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)

    with capture_logs() as passed, for_request("r-1"):
        log_access(a_request(), 200, 0.0015)

    assert [line["event"] for line in passed] == ["request"]
    assert stream.getvalue() == ""


def test_a_secret_that_was_given_is_masked() -> None:
    """It may have been sent as the id of a request."""
    assert "canary-7f3a9c" not in told(a_request(), request_id="id:canary-7f3a9c", secrets=("canary-7f3a9c",))


def test_what_the_process_says_of_itself_later_stands_on_the_next_line() -> None:
    """Its name may change while it lives, and so does its number in a fork."""
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    with for_request("r-1"):
        log_access(a_request(), 200, 0.0015)
        identify(name="shop")
        try:
            log_access(a_request(), 200, 0.0015)
        finally:
            identify(name="crossdock")

    before, after = map(json.loads, stream.getvalue().splitlines())
    assert (before["service.name"], after["service.name"]) == ("crossdock", "shop")
    assert after["process.pid"] == os.getpid()


def test_a_line_below_a_message_says_which() -> None:
    """A service inside of a test may be asked while a message is handled."""
    with Handling(Handled("m-1")):
        assert json.loads(told(a_request()))["labels.message_id"] == "m-1"


@pytest.mark.parametrize("format", ["datadog", "console"])
def test_other_formats_are_left_to_the_chain(format: LogFormat) -> None:
    """They are made of more than pieces that are known before."""
    line = told(a_request(), trace=TRACE, format=format)

    assert request_lines.chosen() is None
    assert "dd.trace_id" in line or format == "console"


def test_what_is_remembered_is_bounded() -> None:
    """Routes and problems are few; if they were not, nothing would grow."""
    made: list[EventDict] = []
    lines = some_lines(made, [])
    with for_request("r-1"):
        for number in [*range(KINDS_MOST + 1), 0]:
            lines.tell("GET", f"/{number}", 200, None, 0.001)

    assert made[-1]["path"] == "/0"
    assert len(made) == KINDS_MOST + 2
