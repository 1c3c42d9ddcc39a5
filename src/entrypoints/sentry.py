"""What nobody foresaw, told to Sentry or whatever speaks as it does.

Importing this imports its SDK: `observability` does, when there is somebody to tell. Reported is what is logged as an
error with an exception, and what has died and waits at the desk. Refusals and outages are no errors and are not told.
Nothing is sent that was not written here: no bodies, headers or addresses of requests, no variables, no users.
"""

import atexit
import logging
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, Final

from sentry_sdk import Client
from sentry_sdk.transport import Transport
from sentry_sdk.utils import event_from_exception
from structlog.typing import EventDict

from entrypoints.redaction import Hidden, as_text, redacted
from entrypoints.settings_ports import ErrorReportSettings

log = logging.getLogger("crossdock.log")

LIKE_MOST: Final = 5  # reports of one kind in a minute
ALL_MOST: Final = 60  # of all kinds in a minute
KINDS_MOST: Final = 256
DEAD_MOST: Final = 1024  # dead letters that are known to be told
QUEUE_MOST: Final = 50  # reports on their way
FLUSH_SECONDS: Final = 2.0  # for the last of them, when the process ends

_LOGGERS: Final = ("crossdock", "asyncio", "uvicorn.error")  # others tell of outages as errors
_TAGS: Final = ("message_id", "topic", "dead_letter", "request_id", "trace_id")
_NUMBER: Final = re.compile(r"\d+")


class Sentry:
    """Reports errors within bounds; each process with a queue and a thread of its own, from its first report on."""

    def __init__(
        self,
        chosen: ErrorReportSettings,
        *,
        role: str,
        environment: str,
        secrets: Iterable[str] = (),
        now: Callable[[], float] = time.monotonic,
        transport: type[Transport] | None = None,
    ) -> None:
        self._dsn = chosen.dsn.get_secret_value() if chosen.dsn is not None else None
        self._release = chosen.release or f"crossdock@{version('crossdock')}"
        self._environment = chosen.environment or environment or "production"
        self._role = role
        self._hidden = Hidden(secrets)
        self._now = now
        self._transport = transport  # another than HTTP, for tests
        self._clients: dict[int, Client] = {}  # by process: what a fork leaves behind works in its parent alone
        self._minute: OrderedDict[object, list[float]] = OrderedDict()
        self._dead: OrderedDict[str, None] = OrderedDict()
        atexit.register(self.close)

    def __call__(self, event: EventDict, error: BaseException | None) -> None:
        """Report a line of the log, before it was masked, if it is one of those that are reported."""
        dead = event.get("dead_letter")
        if error is None and dead is None:
            return
        if not str(event.get("logger", "")).startswith(_LOGGERS):
            return
        kind = (event.get("logger"), dead, *_kind_of(error), _NUMBER.sub("0", as_text(event.get("dead_reason", ""))))
        if self._is_known(dead, event) or not (self._has_room(kind, LIKE_MOST) and self._has_room("all", ALL_MOST)):
            return
        client = self._client()
        report = self._report(event, error, client.options)
        if dead is not None:
            report["fingerprint"] = ["dead-letter", as_text(dead), redacted(kind[-1])]
        client.capture_event(report)

    def close(self) -> None:
        """Send what is on its way, within a bound."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close(timeout=FLUSH_SECONDS)

    def _client(self) -> Client:
        pid = os.getpid()
        if pid not in self._clients:
            self._clients.clear()
            # Without integrations: what it finds out by itself of requests, users and variables is not asked for.
            self._clients[pid] = Client(
                dsn=self._dsn,
                release=self._release,
                environment=self._environment,
                server_name="",
                default_integrations=False,
                auto_enabling_integrations=False,
                include_local_variables=False,
                max_request_body_size="never",
                max_breadcrumbs=0,
                auto_session_tracking=False,
                send_client_reports=False,
                transport_queue_size=QUEUE_MOST,
                shutdown_timeout=FLUSH_SECONDS,
                transport=self._transport,
                before_send=self._scrubbed,
            )
        return self._clients[pid]

    def _report(self, event: EventDict, error: BaseException | None, options: dict[str, Any]) -> Any:
        report: dict[str, Any] = {}
        if error is not None:
            told, _ = event_from_exception(error, client_options=options, mechanism={"type": "log", "handled": True})
            report.update(told)
        tags = {name: as_text(event[name]) for name in _TAGS if event.get(name) is not None}
        report |= {
            "level": "fatal" if event.get("level") == "critical" else "error",
            "logger": as_text(event.get("logger", "")),
            "logentry": {"formatted": as_text(event.get("event", ""))},
            "tags": {"role": self._role, **tags},
        }
        if "path" in event:
            report["transaction"] = f"{event.get('method', '')} {event['path']}"
        if "trace_id" in event:
            report["contexts"] = {"trace": {"trace_id": event["trace_id"], "span_id": event.get("span_id", "0" * 16)}}
        return report

    def _scrubbed(self, report: Any, _: object) -> Any:
        return redacted(report, self._hidden.text) | {"timestamp": report["timestamp"]}

    def _is_known(self, dead: object, event: EventDict) -> bool:
        """Whether this dead letter was told before: what could not be marked as dead dies again."""
        if dead is None:
            return False
        message = as_text(event.get("message_id", ""))
        known = message in self._dead
        self._dead[message] = None
        if len(self._dead) > DEAD_MOST:
            self._dead.popitem(last=False)
        return known

    def _has_room(self, kind: object, most: int) -> bool:
        now = self._now()
        times = self._minute.setdefault(kind, [])
        self._minute.move_to_end(kind)
        if len(self._minute) > KINDS_MOST:
            self._minute.popitem(last=False)
        times[:] = [at for at in times if now - at < 60]
        if len(times) >= most:
            return False
        times.append(now)
        return True


def _kind_of(error: BaseException | None) -> tuple[object, ...]:
    """What errors of one mistake have in common: their type and where they were raised."""
    at = None if error is None else error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return type(error), None if at is None else (at.tb_frame.f_code.co_filename, at.tb_lineno)
