"""The fields of a log line in the Elastic Common Schema: each name has one type, whatever is logged.

A store that has seen a number under a name refuses a line with a text or an object there. So what is not in the table
below goes under ``labels``, which are texts. ``deploy/logs/index-template.json`` says the same to the store.

Source: https://www.elastic.co/docs/reference/ecs/ecs-field-reference
"""

import json
import os
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from structlog.typing import EventDict

from entrypoints.redaction import as_text
from ports import log_context, trace_context

ECS_VERSION: Final = "8.17"
TEXT_MOST: Final = 32_000  # characters of one value; of a longer one the beginning and the end are kept

FIELDS: Final[dict[str, tuple[str, type]]] = {
    "logger": ("log.logger", str),
    "request_id": ("http.request.id", str),
    "method": ("http.request.method", str),
    "status": ("http.response.status_code", int),
    "path": ("url.path", str),
    "client": ("client.address", str),
    "trace_id": ("trace.id", str),
    "span_id": ("span.id", str),
    "error.type": ("error.type", str),
    "error.message": ("error.message", str),
    "error.stack_trace": ("error.stack_trace", str),
    "mail_id": ("email.message_id", str),
    "mail_to": ("email.to.address", str),
    "mail_subject": ("email.subject", str),
}
# What a record of the standard library may bring along; of what libraries say besides nobody knows the type.
TAKEN_ALONG: Final = (*FIELDS, "dead_letter", "dead_reason")
# What each line has, besides the table.
ALWAYS: Final = (
    *("@timestamp", "log.level", "message", "ecs.version", "event.duration", "process.pid"),
    *("service.name", "service.version", "service.environment", "service.node.name", "service.node.roles"),
)
OF_DATADOG: Final = ("dd.trace_id", "dd.span_id", "dd.service", "dd.env", "dd.version")

_DOTS: Final = re.compile(r"[^\w-]+")


class _Writer:
    """What this process says of itself on each line; never changed in place, so that what was made of it can tell."""

    said: Mapping[str, object] = {"service.name": "crossdock", "process.pid": os.getpid()}


def writer() -> Mapping[str, object]:
    """Who writes: another object once something of it is another."""
    return _Writer.said


def identify(**named: str) -> None:
    """Say on each line from now on who writes it: ``version``, ``environment``, ``role``, and ``node``, its name."""
    names = {"role": "service.node.roles", "node": "service.node.name"}
    said = {names.get(name, f"service.{name}"): value for name, value in named.items() if value}
    _Writer.said = {**_Writer.said, **said}


def _of_this_process() -> None:
    _Writer.said = {**_Writer.said, "process.pid": os.getpid()}


os.register_at_fork(after_in_child=_of_this_process)


def about_what(_: object, __: str, event: EventDict) -> EventDict:
    """Add which request, message or task the work is for, if there is one, and where in a trace it belongs."""
    request_id = log_context.CURRENT_REQUEST_ID.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    place = trace_context.current()
    if place is not None:
        event["trace_id"], event["span_id"] = place.trace_id, place.span_id
    handled = log_context.handled()
    if handled is not None:
        event.setdefault("message_id", handled.message_id)
        if handled.subject is not None:
            event.setdefault("subject", handled.subject)
        if handled.topic is not None:
            event.setdefault("topic", handled.topic)
    return event


def elastic(_: object, __: str, event: EventDict) -> EventDict:
    """From our own names to the schema's."""
    line: EventDict = {
        "@timestamp": now(),
        "log.level": event.pop("level"),
        "message": _cut(as_text(event.pop("event"))),
        "ecs.version": ECS_VERSION,
    }
    duration = event.pop("duration_ms", None)
    if type(duration) is float or type(duration) is int:
        line["event.duration"] = round(duration * 1_000_000)  # in nanoseconds
    for name, value in event.items():
        known = FIELDS.get(name)
        if known is not None and type(value) is known[1]:
            line[known[0]] = _cut(value) if type(value) is str else value
        elif value is not None:
            line[_label(name)] = _text(value)
    line.update(_Writer.said)
    return line


def datadog(_: object, __: str, line: EventDict) -> EventDict:
    """Add what Datadog knows traces and services by: the lower 64 bits of ids as numbers, its three tags.

    Source: https://docs.datadoghq.com/tracing/other_telemetry/connect_logs_and_traces/opentelemetry/
    """
    for ours, theirs in (("trace.id", "dd.trace_id"), ("span.id", "dd.span_id")):
        if ours in line:
            line[theirs] = str(int(line[ours][-16:], 16))
    for ours, theirs in (("name", "dd.service"), ("environment", "dd.env"), ("version", "dd.version")):
        if (value := _Writer.said.get(f"service.{ours}")) is not None:
            line[theirs] = value
    return line


def now() -> str:
    """The present moment, as each line begins."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1_000_000:03d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    # Many lines are of one second, and most of the moment is the same on all of them.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


@lru_cache(maxsize=1024)
def _label(name: str) -> str:
    return f"labels.{_DOTS.sub('_', name)[:100]}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        try:
            return _cut(json.dumps(value, default=as_text))
        except (TypeError, ValueError, RecursionError):  # an odd key, a circle
            return _cut(as_text(value))
    return _cut(as_text(value))


def _cut(text: str) -> str:
    if len(text) <= TEXT_MOST:
        return text
    return f"{text[: TEXT_MOST // 2]} […] {text[-TEXT_MOST // 2 :]}"
