"""From what went wrong to what the caller is told: one table, and the handlers that apply it.

A caller never reads an error's own text unless a refusal of the model wrote it for callers: what ports and libraries
say is for operators and goes to the log.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from domain.delivery.dead_letters import DeadLetterNotFound
from domain.model.errors import (
    CityNotFound,
    EmailAlreadyRegistered,
    InvalidValue,
    OrderNotFound,
    UnknownUser,
    UserNotFound,
    WeatherNotConfigured,
)
from entrypoints.web.fields import to_json
from entrypoints.web.problem_types import PROBLEM_TYPES
from ports.errors import Conflict, Unavailable, Unknown

ERRORS_MOST = 100
POINTER_MOST = 200
RETRY_AFTER = 2  # seconds, where nobody knows better
RETRY_AFTER_MOST = 3600

REQUEST_ID = "crossdock.request_id"  # where the scope of a request keeps it
PROBLEM = "crossdock.problem"  # the same of the code of the problem that it was answered with

_log = structlog.get_logger("crossdock.web")


@dataclass(frozen=True, slots=True)
class _Row:
    code: str
    detail: str | None = None  # None: the error's own words, which were written for callers
    retry: bool = False
    logged: bool = False


_TABLE: dict[type[Exception], _Row] = {
    EmailAlreadyRegistered: _Row("email-already-registered"),
    UserNotFound: _Row("user-not-found"),
    UnknownUser: _Row("unknown-user"),
    OrderNotFound: _Row("order-not-found"),
    CityNotFound: _Row("city-not-found"),
    WeatherNotConfigured: _Row(
        "weather-not-configured", "The weather provider wants an API key, and OPEN_WEATHER_API_KEY is not set."
    ),
    DeadLetterNotFound: _Row(
        "dead-letter-not-found", "Nothing of this id waits here; it may have been replayed or discarded meanwhile."
    ),
    Unavailable: _Row(
        "storage-unavailable", "The storage does not answer now. Nothing was changed.", retry=True, logged=True
    ),
    Conflict: _Row(
        "storage-unavailable",
        "The same data were changed by another request at the same moment. Nothing was changed by this one.",
        retry=True,
        logged=True,
    ),
    Unknown: _Row(
        "storage-unavailable",
        "The storage went away while it was writing: it is not known whether the request took effect. "
        "Look before you send it again; with an Idempotency-Key, just send it again.",
        retry=True,
        logged=True,
    ),
    ClientDisconnect: _Row("malformed-json", "The connection ended before the body did."),
}

# What the framework itself refuses.
_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 413: "content-too-large", 415: "unsupported-media-type"}

# Ours instead of pydantic's: one voice, and nothing that repeats what was sent. In braces is what the rule says.
_WORDS = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "string_type": "This must be a string.",
    "int_type": "This must be a whole number.",
    "int_parsing": "This must be a whole number.",
    "int_from_float": "This must be a whole number.",
    "uuid_type": "This must be a UUID.",
    "uuid_parsing": "This must be a UUID.",
    "list_type": "This must be a list.",
    "string_pattern_mismatch": "This must match {pattern}.",
    "string_too_short": "This must have {min_length} or more characters.",
    "string_too_long": "This must have {max_length} characters or fewer.",
    "string_unicode": "This must be text in UTF-8.",
    "too_short": "This must have {min_length} or more entries.",
    "too_long": "This must have {max_length} entries or fewer.",
    "greater_than_equal": "This must be {ge} or more.",
    "less_than_equal": "This must be {le} or less.",
    "enum": "This must be {expected}.",
    "literal_error": "This must be {expected}.",
    "model_type": "This must be an object.",
    "model_attributes_type": "This must be an object.",
}


class Complaint(NamedTuple):
    """Where something is wrong, as a JSON Pointer into the body, the query or the parameters of the path; and what."""

    pointer: str
    detail: str
    location: str = "body"

    @property
    def document(self) -> dict[str, str]:
        """As the caller is told."""
        where = {} if self.location == "body" else {"location": self.location}
        return {"pointer": self.pointer, **where, "detail": self.detail}


class Problem(Exception):
    """What was asked for is refused, and this is what the caller is told.

    ``more`` are further members of the document.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Iterable[Complaint] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self, scope: Scope) -> Response:
        """The answer to the request with this scope."""
        kind = PROBLEM_TYPES[self.code]
        scope[PROBLEM] = kind.code
        document: dict[str, object] = {
            "type": f"/problems/{kind.code}",
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            "instance": path_of(scope),
            "code": kind.code,
            "request_id": scope.get(REQUEST_ID, ""),
        }
        if self.errors:
            document["errors"] = [error.document for error in self.errors[:ERRORS_MOST]]
        document.update(self.more)
        return Response(to_json(document), kind.status, headers=self.headers, media_type="application/problem+json")


def invalid_request(errors: Iterable[Complaint]) -> Problem:
    """The problem that lists what is wrong with a request."""
    errors = list(errors)
    count = "1 thing is" if len(errors) == 1 else f"{len(errors):,} things are"
    shown = f"; here are the first {ERRORS_MOST}" if len(errors) > ERRORS_MOST else ""
    return Problem("invalid-request", f"{count} wrong with the request{shown}.", errors=errors)


def complaint(error: ErrorDetails) -> Complaint:
    """Where and what, from an error of pydantic about a body."""
    words = _WORDS.get(error["type"])
    detail = error["msg"] if words is None else words.format_map(error.get("ctx", {}))
    return Complaint(pointer_to(*error["loc"]), detail)


def complaint_of_parameter(error: ErrorDetails) -> Complaint:
    """The same of a parameter: FastAPI puts first where it stood."""
    location, *steps = error["loc"]
    return complaint({**error, "loc": tuple(steps)})._replace(location=str(location))


def pointer_to(*steps: str | int) -> str:
    """A JSON Pointer (RFC 6901); what a caller has made too long is cut off."""
    pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return pointer if len(pointer) <= POINTER_MOST else pointer[:POINTER_MOST].rstrip("~") + "…"


def retry_after(seconds: float | None, *, otherwise: int = RETRY_AFTER) -> dict[str, str]:
    """The header that says when to come again, in whole seconds."""
    if seconds is None or not seconds > 0:
        return {"Retry-After": str(otherwise)}
    return {"Retry-After": str(math.ceil(min(seconds, RETRY_AFTER_MOST)))}


def path_of(scope: Scope) -> str:
    """The path as it was sent: percent-encoded, without the query, which may hold a secret."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("ascii", "backslashreplace")
    return raw.partition(b"?")[0].decode("ascii", "backslashreplace")


def tell_once(request: Request, what: str, error: Exception, *, level: int = logging.WARNING, **named: str) -> None:
    """Why requests fail while something is away: one line, since each has one of its own that says that it failed."""
    if request.app.state.told.is_news(error, what):
        _log.log(level, what, error=type(error).__name__, reason=str(error), **named)


async def _by_table(request: Request, error: Exception) -> Response:
    row = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
    if row.logged:
        tell_once(request, "requests are not served", error, problem=row.code)
    headers = retry_after(getattr(error, "retry_after", None)) if row.retry else None
    return Problem(row.code, row.detail or str(error), headers=headers).response(request.scope)


async def _problem(request: Request, error: Problem) -> Response:
    return error.response(request.scope)


async def _invalid_value(request: Request, error: InvalidValue) -> Response:
    location = "path" if error.pointer.removeprefix("/") in request.path_params else "body"
    return invalid_request([Complaint(error.pointer, error.detail, location)]).response(request.scope)


async def _invalid_parameters(request: Request, error: RequestValidationError) -> Response:
    return invalid_request(map(complaint_of_parameter, error.errors())).response(request.scope)


async def _http_exception(request: Request, error: HTTPException) -> Response:
    status = error.status_code
    code = _BY_STATUS.get(status, "internal-error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "bad-request")
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_methods_at(request))}
        if request.method == "OPTIONS":  # what may be done here is what it asks
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    if status == HTTPStatus.NOT_FOUND and (slashed := _with_last_slash(request)):
        return Response(status_code=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": slashed})
    return Problem(code, PROBLEM_TYPES[code].cause, headers=headers).response(request.scope)


def _with_last_slash(request: Request) -> str | None:
    """Where the request probably wanted to go, relative: an absolute address would be of the Host the caller names."""
    path = request.scope["path"]
    if path.endswith("/") or not any(getattr(route, "path", None) == f"{path}/" for route in request.app.routes):
        return None
    return f"{path}/?{request.url.query}" if request.url.query else f"{path}/"


def _methods_at(request: Request) -> list[str]:
    # The framework names those of one route only; two routes may share the path.
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return sorted(methods | ({"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}))


HANDLERS: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
    **dict.fromkeys(_TABLE, _by_table),
    Problem: _problem,
    InvalidValue: _invalid_value,
    RequestValidationError: _invalid_parameters,
    HTTPException: _http_exception,
}


def install_error_handlers(app: FastAPI) -> None:
    """Let every error leave ``app`` as a problem; what nobody foresaw is caught further out, at the edge."""
    for kind, handler in HANDLERS.items():
        app.exception_handler(kind)(handler)
