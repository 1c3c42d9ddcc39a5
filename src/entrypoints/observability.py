"""How the service speaks about itself: one line an event, for people on a terminal, as JSON for machines.

Events of our own (`structlog.get_logger("crossdock.…")`) are rendered and written at once; records of libraries come
through the standard library's root logger and the same chain, so that all lines look alike. What is bound with
`structlog.contextvars`, such as the id of a request, stands on each line.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from textwrap import indent
from typing import Literal, TextIO

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from entrypoints.redaction import Hidden, as_text, redact
from entrypoints.terminal import printable

LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]

# Elastic Common Schema, https://www.elastic.co/docs/reference/ecs/ecs-field-reference. Names that are not here stay.
_ECS_VERSION = "8.17"
_ECS_NAMES = {
    "logger": "log.logger",
    "request_id": "http.request.id",
    "method": "http.request.method",
    "status": "http.response.status_code",
    "path": "url.path",
    "client": "client.address",
    "trace_id": "trace.id",
    "span_id": "span.id",
}
# These say with each call what our own lines say once; httpx also writes whole addresses, and a key may stand in them.
_CHATTY = ("alembic", "amqp", "asyncio", "celery", "httpcore", "httpx", "kombu")
# They tell of each of their own retries as an error; what it comes to is told by our drivers,
# and by entrypoints.telemetry.
_SILENT = ("aiokafka", "opentelemetry", "pika")

# Changed in place: a logger keeps the chain that it met first.
_chain: list[Processor] = []


def configure_logging(
    format: LogFormat, level: LogLevel, *, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Send all that is logged, by us and by libraries, to ``stream`` (standard error) in one format.

    ``secrets`` are values to mask wherever they turn up in a line. May be called again.
    """
    out = sys.stderr if stream is None else stream
    least = logging.getLevelNamesMapping()[level.upper()]
    as_json = not out.isatty() if format == "auto" else format == "json"
    colours = out.isatty() and not os.environ.get("NO_COLOR")
    context: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    rendering: list[Processor] = [
        _error,
        redact,
        *((_elastic, _json) if as_json else (_readable, _console(colours=colours))),
        Hidden(secrets),
    ]
    _chain[:] = [*context, *rendering]
    _Lines.out = out
    structlog.configure(
        processors=_chain,
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=context, processors=[ProcessorFormatter.remove_processors_meta, *rendering]
        )
    )
    logging.basicConfig(handlers=[handler], level=least, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(least if least == logging.DEBUG else max(least, logging.WARNING))
    for name in _SILENT:
        logging.getLogger(name).setLevel(least if least == logging.DEBUG else logging.CRITICAL)


class _Lines:
    """Writes finished lines.

    Not through a logger of the standard library, which costs more than the rest of a line, and each request has one.
    """

    out: TextIO = sys.stderr  # one for all, since a logger lives on when logging is configured again

    def __init__(self, name: str = "crossdock") -> None:
        self.name = name

    def write(self, line: str) -> None:
        # One call a line, so that lines of several threads do not run into each other. When nobody listens any more,
        # that is no reason to fail a request.
        try:
            self.out.write(f"{line}\n")
            self.out.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = write


def _error(_: object, __: str, event: EventDict) -> EventDict:
    """Unfold an exception into plain texts: never with the values of local variables, which hold secrets."""
    raised = event.pop("exc_info", None)
    if not raised:
        return event
    if isinstance(raised, tuple):
        raised = raised[1]
    elif not isinstance(raised, BaseException):
        raised = sys.exc_info()[1]
    if isinstance(raised, BaseException):
        event["error.type"] = type(raised).__qualname__
        event["error.message"] = as_text(raised)
        event["error.stack_trace"] = "".join(traceback.format_exception(raised)).rstrip()
    return event


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _elastic(_: object, __: str, event: EventDict) -> EventDict:
    line: EventDict = {
        "@timestamp": _now(),
        "log.level": event.pop("level"),
        "message": event.pop("event"),
        "ecs.version": _ECS_VERSION,
    }
    if (milliseconds := event.pop("duration_ms", None)) is not None:
        line["event.duration"] = round(milliseconds * 1_000_000)  # in nanoseconds
    for name, value in event.items():
        ours = _ECS_NAMES.get(name, name)
        line[ours if ours not in line else f"labels.{name}"] = value
    return line


def _json(_: object, __: str, event: EventDict) -> str:
    try:
        return _encode(event)
    except (TypeError, ValueError, RecursionError):  # a number that JSON has no word for, a circle, an odd key
        return _encode({str(name): as_text(value) for name, value in event.items()})


def _readable(_: object, __: str, event: EventDict) -> EventDict:
    line: EventDict = {"timestamp": _now()}
    story = event.pop("error.stack_trace", None)
    for name, value in event.items():
        line[name] = value if isinstance(value, (bool, int, float)) else printable(as_text(value))
    if story is not None:
        # Set back, so that no line of it, whatever it says, looks like one of the log.
        line["exception"] = indent("\n".join(map(printable, story.split("\n"))), "    ")
    return line


def _console(*, colours: bool) -> Processor:
    return ConsoleRenderer(colors=colours, exception_formatter=plain_traceback, sort_keys=False)


_encode = json.JSONEncoder(default=as_text, allow_nan=False).encode  # escapes whatever is not ASCII
