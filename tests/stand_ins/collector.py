"""A collector that takes OTLP over HTTP, in a thread of this process, and shows what it was told."""

import gzip
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True, slots=True)
class Span:
    """One span, as it was told."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str  # empty: the first of its trace
    attributes: Mapping[str, Any]
    links: tuple[tuple[str, str], ...]  # trace and span
    is_error: bool
    status_text: str
    events: tuple[str, ...]
    resource: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it came; names of headers are in small letters."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Collector:
    """Listens on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[Request] = []
        self._spans: list[Span] = []
        self._news = Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector._take(self)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> Sequence[Span]:
        """What it was told, in the order of arrival."""
        with self._news:
            return tuple(self._spans)

    def of_trace(self, trace_id: str) -> Sequence[Span]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def wait_for(self, number: int, *, trace_id: str, name: str, seconds: float = 30) -> Sequence[Span]:
        """The spans of a trace, once so many of them have this name."""
        until = time.monotonic() + seconds
        with self._news:
            while True:
                found = [span for span in self._spans if span.trace_id == trace_id]
                if sum(span.name == name for span in found) >= number:
                    return found
                left = until - time.monotonic()
                assert left > 0, f"{number} of {name} wanted, but there are {sorted(span.name for span in found)}"
                self._news.wait(left)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The metrics that it was told last, by name, as messages of the protocol."""
        with self._news:
            told = [request.body for request in self.requests if request.path == "/v1/metrics"]
        if not told:
            return {}
        (of_resource,) = ExportMetricsServiceRequest.FromString(told[-1]).resource_metrics
        (of_scope,) = of_resource.scope_metrics
        return {metric.name: metric for metric in of_scope.metrics}

    def wait_for_requests(self, number: int, *, seconds: float = 30) -> None:
        """Return when it was asked so often."""
        until = time.monotonic() + seconds
        with self._news:
            while len(self.requests) < number:
                left = until - time.monotonic()
                assert left > 0, f"{number} requests wanted, but there are {len(self.requests)}"
                self._news.wait(left)

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if handler.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._news:
            self.requests.append(Request(handler.path, headers, body))
            if self.status == 200 and handler.path == "/v1/traces":
                self._spans += _spans_in(body)
            self._news.notify_all()
        handler.send_response(self.status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector, for as long as this lasts."""
    collector = Collector()
    thread = Thread(target=collector._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector._server.shutdown()
        thread.join()
        collector._server.server_close()


def assert_whole(spans: Sequence[Span], *, below: str = "") -> None:
    """Each span's parent is among them, but for the one that began it all, ``below`` what somebody else did."""
    ids = {span.span_id for span in spans} | {below}
    assert [span.name for span in spans if span.parent_id and span.parent_id not in ids] == []


def _spans_in(body: bytes) -> Iterator[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    for of_resource in request.resource_spans:
        resource = _values(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield _span(span, resource)


def _span(span: SpanMessage, resource: Mapping[str, Any]) -> Span:
    return Span(
        name=span.name,
        kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_values(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        is_error=span.status.code == Status.STATUS_CODE_ERROR,
        status_text=span.status.message,
        events=tuple(event.name for event in span.events),
        resource=resource,
    )


def _values(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}
