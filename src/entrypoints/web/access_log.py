"""One log line for each request."""

import structlog
from starlette.types import Scope

from entrypoints import request_lines
from entrypoints.web.errors import PROBLEM, path_of

PATH_MOST = 200
_SILENT = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds by machines
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_log = structlog.get_logger(request_lines.LOGGER)


def route_of(scope: Scope) -> str | None:
    """The template of the route that served the request, ``/orders/{id}``, or None when no route did."""
    return getattr(scope.get("route"), "path_format", None)


def method_of(scope: Scope) -> str:
    """The method, if it is one of the usual: callers can invent others without end."""
    method: str = scope["method"]
    return method if is_usual(method) else "OTHER"


def is_usual(method: str) -> bool:
    """Whether a method is one that services know."""
    return method in _METHODS


def log_access(scope: Scope, status: int, seconds: float) -> None:
    """Write down what was asked and what it came to; never the query, which may hold a secret."""
    route = route_of(scope)
    if route in _SILENT:
        return
    method, problem = method_of(scope), scope.get(PROBLEM)
    lines = request_lines.chosen()
    if lines is not None and route is not None and lines.tell(method, route, status, problem, seconds):
        return
    told = {} if problem is None else {"problem": problem}
    _log.info(
        "request",
        method=method,
        path=route or path_of(scope)[:PATH_MOST],
        status=status,
        duration_ms=round(seconds * 1000, 3),
        **told,
    )
