"""The span of a request, by the conventions of OpenTelemetry for servers of HTTP.

Not by the framework: what it does for a span it does as well for each request that is not told, of which there are nine
in ten where one in ten is.

Source: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
"""

import time
from typing import Final, Protocol
from urllib.parse import urlsplit

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import Span, StatusCode
from starlette.types import Scope

from entrypoints.redaction import HIDDEN
from entrypoints.web.access_log import is_usual, route_of
from entrypoints.web.errors import PROBLEM
from ports.trace_context import TraceContext

NOT_BY_THE_FRAMEWORK: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}

_FAULT: Final = 500  # from this status on it is ours
_PORTS: Final = {"http": 80, "https": 443}


class Tracing(Protocol):
    """What writes traces."""

    def of_request(self, name: str, below: TraceContext | None) -> tuple[TraceContext | None, Span | None]:
        """Where what is done for a request belongs, and its span if it is told."""


def name_of(scope: Scope) -> str:
    """What the span is called until its route is known."""
    method: str = scope["method"]
    return method if is_usual(method) else "HTTP"


def end_span(span: Span, scope: Scope, status: int, error: BaseException | None, ended: float) -> None:
    """Say what was asked and what it came to, the status being 0 when there was no answer; ``ended`` by perf_counter.

    The query is struck out, in which callers may send secrets.
    """
    method: str = scope["method"]
    attributes: dict[str, str | int] = {
        "http.request.method": method if is_usual(method) else "_OTHER",
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version", "1.1"),
        "url.path": scope["path"],
        **_server(scope),
    }
    if not is_usual(method):
        attributes["http.request.method_original"] = method
    if scope.get("query_string"):
        attributes["url.query"] = HIDDEN
    if (route := route_of(scope)) is not None:
        attributes["http.route"] = route
        span.update_name(f"{name_of(scope)} {route}")
    if status:
        attributes["http.response.status_code"] = status
    if status >= _FAULT or not status or error is not None:
        attributes["error.type"] = _why(scope, status, error)
        span.set_status(StatusCode.ERROR)
    span.set_attributes(attributes)
    span.end(time.time_ns() - int((time.perf_counter() - ended) * 1e9))


def _why(scope: Scope, status: int, error: BaseException | None) -> str:
    if error is not None:
        return type(error).__qualname__
    return str(scope.get(PROBLEM) or status or ConnectionError.__qualname__)


def _server(scope: Scope) -> dict[str, str | int]:
    """Whom the caller meant to ask."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    try:
        parts = urlsplit(f"//{host}")
        address, port = parts.hostname, parts.port or _PORTS.get(scope.get("scheme", ""))
    except ValueError:
        return {}
    if address is None or port is None or parts.netloc != host or parts.username is not None:
        return {}
    return {"server.address": address, "server.port": port}
