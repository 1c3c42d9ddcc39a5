"""How the service speaks about itself: one line an event, for people on a terminal, as JSON for machines.

Events of our own (`structlog.get_logger("crossdock.…")`) are rendered and written at once; records of libraries come
through the standard library's root logger and the same chain, so that all lines look alike. What the work is for, such
as a request with its id, stands on each line (`ports.log_context`).
"""

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterable
from importlib.metadata import version
from textwrap import indent
from typing import TYPE_CHECKING, Literal, TextIO

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from entrypoints import request_lines
from entrypoints.log_fields import TAKEN_ALONG, about_what, datadog, elastic, identify, now
from entrypoints.log_level import enough, set_level
from entrypoints.redaction import Hidden, Redact, as_text
from entrypoints.request_lines import RequestLines
from entrypoints.settings import Settings
from entrypoints.terminal import printable

if TYPE_CHECKING:
    from entrypoints.sentry import Sentry

LogFormat = Literal["auto", "console", "json", "datadog"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]

# These lines are the mailbox of a developer, so their addresses stay.
_MAILBOX = "crossdock.mail"

# Changed in place: a logger keeps the chain that it met first.
_chain: list[Processor] = []


def configure_logging(
    format: LogFormat, level: LogLevel, *, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Send all that is logged, by us and by libraries, to ``stream`` (standard error) in one format.

    ``secrets`` are values to mask wherever they turn up in a line. May be called again.
    """
    out = sys.stderr if stream is None else stream
    as_json = not out.isatty() if format == "auto" else format in {"json", "datadog"}
    colours = out.isatty() and not os.environ.get("NO_COLOR")
    context: list[Processor] = [
        about_what,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        _report,
    ]
    in_addition: list[Processor] = [datadog] if format == "datadog" else []
    redact, hidden = Redact(addresses_of=_MAILBOX), Hidden(secrets)
    rendering: list[Processor] = [
        _error,
        redact,
        *((elastic, *in_addition, _json) if as_json else (_readable, _console(colours=colours))),
        hidden,
    ]
    _chain[:] = [enough, *context, *rendering]
    _Lines.out = out

    def of_request(event: EventDict) -> str:
        return _json(None, "info", elastic(None, "info", redact(None, "info", event)))

    # The ids that Datadog wants are made of those of the trace, so there the chain does it.
    quickly = as_json and format != "datadog"
    lines = RequestLines(_chain, render=of_request, hidden=hidden.text, write=_Lines().write)
    request_lines.use(lines if quickly else None)
    structlog.configure(
        processors=_chain,
        # The level is looked at for each line (`enough`), since it can be changed while the process works.
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=TAKEN_ALONG), *context],
            processors=[ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], force=True)
    set_level(level)


def speak_as(role: str, settings: Settings) -> None:
    """For processes that last: say on each line what part they play, and let nothing be said beside the log.

    Warnings, and what ends the process or a thread, are lines like any other.
    """
    told = settings.telemetry
    identify(
        role=role,
        name=told.service_name or told.resource_values.get("service.name", "crossdock"),
        version=told.resource_values.get("service.version", version("crossdock")),
        environment=told.environment,
    )
    _Reports.to = None
    if settings.errors.dsn is not None:
        from entrypoints.sentry import Sentry  # noqa: PLC0415 - imported by whom it has something to do for

        _Reports.to = Sentry(settings.errors, role=role, environment=told.environment, secrets=settings.secrets)
    logging.captureWarnings(capture=True)
    log = logging.getLogger("crossdock")

    def ended(kind: type[BaseException], error: BaseException, *_: object) -> None:
        if issubclass(kind, Exception):
            log.critical("the process ends by an error that nobody foresaw", exc_info=error)

    def ended_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None and not isinstance(told.exc_value, SystemExit):
            log.error("a thread ended by an error that nobody foresaw", exc_info=told.exc_value)

    sys.excepthook = ended
    threading.excepthook = ended_thread


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


class _Reports:
    """Where errors are reported; a processor finds it here, since a logger keeps the chain that it met first."""

    to: "Sentry | None" = None


def send_reports() -> None:
    """Let what is on its way arrive, within a bound; for processes that end without Python's own ending."""
    if _Reports.to is not None:
        _Reports.to.close()


def _report(_: object, __: str, event: EventDict) -> EventDict:
    if _Reports.to is not None and event["level"] in {"error", "critical"}:
        try:
            _Reports.to(event, _raised(event.get("exc_info")))
        except Exception as error:  # a report that fails must not fail what is reported
            event["report_failed"] = type(error).__name__
    return event


def _raised(told: object) -> BaseException | None:
    """The exception that a line is about, in whatever form it was given."""
    if isinstance(told, BaseException):
        return told
    if isinstance(told, tuple):
        return told[1] if isinstance(told[1], BaseException) else None
    return sys.exc_info()[1] if told else None


def _error(_: object, __: str, event: EventDict) -> EventDict:
    """Unfold an exception into plain texts: never with the values of local variables, which hold secrets."""
    raised = _raised(event.pop("exc_info", None))
    if raised is not None:
        event["error.type"] = type(raised).__qualname__
        event["error.message"] = as_text(raised)
        event["error.stack_trace"] = "".join(traceback.format_exception(raised)).rstrip()
    return event


def _json(_: object, __: str, event: EventDict) -> str:
    try:
        return _encode(event)
    except (TypeError, ValueError, RecursionError):  # a number that JSON has no word for, a circle, an odd key
        return _encode({str(name): as_text(value) for name, value in event.items()})


def _readable(_: object, __: str, event: EventDict) -> EventDict:
    line: EventDict = {"timestamp": now()}
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
