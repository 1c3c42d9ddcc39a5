"""The edge: what every request and every answer passes."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.delivery.pace import Pace
from entrypoints.log_level import is_wanted
from entrypoints.web.access_log import method_of, route_of
from entrypoints.web.bodies import BODY_MOST, content_too_large
from entrypoints.web.edge_options import IN_FLIGHT_MOST, PROBES
from entrypoints.web.errors import REQUEST_ID, Problem, retry_after
from entrypoints.web.tracing import Tracing, end_span, name_of
from ports.log_context import CURRENT_REQUEST_ID
from ports.trace_context import CURRENT_TRACE, TraceContext, trace_from

Observer = Callable[[Scope, int, float], None]  # told of each request: its scope, the status, the seconds it took

OVERLOADED_RETRY_AFTER = 1  # seconds: it passes as soon as some are done
CLIENT_GONE = 499  # nginx's number for a request that got no answer because nobody waited for it any more

MORE_HEADERS = "crossdock.headers"  # in the scope of a request: pairs that its answer gets besides
STREAM = "crossdock.stream"  # in the scope of a request that goes on for as long as somebody listens: not its time
HEAD_ONLY = "crossdock.head"  # in the scope of a request whose answer shall have no body

_SANE_ID = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
_DIGITS_MOST = 12

# What an answer gets unless it says otherwise: it is data, for its caller alone, and no page.
_UNLESS_SET = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)

_log = structlog.get_logger("crossdock.web")


class Edge:
    """Names, bounds and observes each request, and answers for what nobody foresaw.

    Plain ASGI and one layer, since each layer costs every request. It is the outermost of ours, so that a 500 carries
    the request id and the headers like any other answer. A request belongs to the trace that its caller names, or with
    ``tracing`` below its own span there. ``log`` is one more observer, while lines of level info are wanted. What
    stands further in may leave headers of the answer in the scope, as `MORE_HEADERS`; it need not look at what is sent.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        pace: Pace,
        observers: Sequence[Observer] = (),
        log: Observer | None = None,
        in_flight_most: int = IN_FLIGHT_MOST,
        tracing: Tracing | None = None,
    ) -> None:
        self._app = app
        self._in_flight_most = in_flight_most
        self._pace = pace
        self._observers = observers
        self._with_log = observers if log is None else (*observers, log)
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # What is told to nobody shall cost next to nothing: then the clock is not looked at either.
        observers = self._with_log if is_wanted(logging.INFO) else self._observers
        clock = time.perf_counter if observers or self._tracing is not None else float
        started = ended = clock()
        status = 0
        request_id, refused, trace = _look(scope)
        span = error = None
        if self._tracing is not None and scope["path"] not in PROBES:
            trace, span = self._tracing.of_request(name_of(scope), trace)
        scope[REQUEST_ID] = request_id.decode()
        is_head = scope["method"] == "HEAD"

        async def edge_send(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = completed(message.get("headers", ()), request_id, inner.get(MORE_HEADERS, ()))
                ended = clock()
            elif STREAM not in inner:
                if is_head and message["type"] == "http.response.body":
                    message["body"] = b""
                ended = clock()
            await send(message)

        # HEAD is GET without the body, wherever there is a GET (RFC 9110 §9.3.2). The server keeps its own scope.
        inner = {**scope, "method": "GET", HEAD_ONLY: True} if is_head else scope
        # No context managers, and nothing for a trace that is not there: this is done for each request, told or not.
        moved = None if trace is CURRENT_TRACE.get() else CURRENT_TRACE.set(trace)
        asked = CURRENT_REQUEST_ID.set(scope[REQUEST_ID])
        self._pace.in_flight += 1
        try:
            if self._pace.in_flight > self._in_flight_most and scope["path"] not in PROBES:
                await _overloaded().response(scope)(scope, receive, edge_send)
            elif refused is not None:
                await refused.response(scope)(scope, receive, edge_send)
            else:
                await self._app(inner, receive, edge_send)
        except Exception as unforeseen:
            error = unforeseen
            if status:
                raise  # the answer is under way: all that is left is to break it off
            await _unforeseen(method_of(scope), route_of(inner) or "").response(scope)(scope, receive, edge_send)
        finally:
            self._pace.in_flight -= 1
            inner["method"] = scope["method"]
            ended = clock() if ended == started else ended
            for observe in observers:
                observe(inner, status or CLIENT_GONE, ended - started)
            if span is not None:
                end_span(span, inner, status, error, ended)
            if moved is not None:
                CURRENT_TRACE.reset(moved)
            CURRENT_REQUEST_ID.reset(asked)


def _unforeseen(method: str, path: str) -> Problem:
    _log.exception("request failed", method=method, path=path)
    return Problem("internal-error", "The service met an error that nobody foresaw. It has been logged.")


def _overloaded() -> Problem:
    detail = "As many requests are worked on as this process takes. Nothing was done for this one."
    return Problem("overloaded", detail, headers=retry_after(None, otherwise=OVERLOADED_RETRY_AFTER))


def _look(scope: Scope) -> tuple[bytes, Problem | None, TraceContext | None]:
    """The id of the request, the caller's if it is sane, why it is refused by its headers alone, and its trace."""
    request_id = parent = state = b""
    too_large, hosts = False, 0
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if not request_id and _SANE_ID.fullmatch(value):
                request_id = value
        elif name == b"content-length" and value.isdigit():
            too_large = len(value) > _DIGITS_MOST or int(value) > BODY_MOST
        elif name == b"traceparent":
            parent += value  # two of them are none
        elif name == b"tracestate":
            state += b"," + value if state else value
        elif name == b"host":
            hosts += 1
    trace = trace_from(parent.decode("latin-1"), state.decode("latin-1")) if parent else None
    refused = None
    if too_large:
        refused = content_too_large()
    elif hosts != 1 and scope.get("http_version") == "1.1":  # RFC 9112 §3.2: of two, who knows which was meant
        refused = Problem("malformed-request", "A request of HTTP/1.1 has one Host header.")
    return request_id or _new_id(), refused, trace


def _new_id() -> bytes:
    # A UUID of version 4, without an object of it in between.
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}".encode()


def completed(
    given: Iterable[tuple[bytes, bytes]], request_id: bytes, more: Iterable[tuple[bytes, bytes]] = ()
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with those that every answer has, and ``more``."""
    headers = list(given)
    headers.extend(more)
    names = {name for name, _ in headers}
    headers.extend(header for header in _UNLESS_SET if header[0] not in names)
    headers.extend(_ALWAYS)
    headers.append((b"x-request-id", request_id))
    return headers
