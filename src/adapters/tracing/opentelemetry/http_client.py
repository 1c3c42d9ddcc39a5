"""An HTTP client whose calls are traced."""

from collections.abc import Mapping
from typing import Any, Unpack
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind

from adapters.http_client import Answer, HttpClient, Sending
from adapters.tracing.opentelemetry.spans import Spans
from ports.clock import Clock

_PORTS = {"http": 80, "https": 443}


class TracedHttpClient(HttpClient):
    """Each call that leaves gets a span: where it went and what it came to, never its path or query.

    The trace is not told to the other side, which is somebody else's.
    """

    def __init__(self, clock: Clock, spans: Spans, **options: Any) -> None:
        super().__init__(clock, **options)
        self._spans = spans

    async def get(self, url: str, parameters: Mapping[str, str], **details: Unpack[Sending]) -> Answer:
        with self._spans.span("GET", SpanKind.CLIENT, _attributes(url)) as span:
            answer = await super().get(url, parameters, **details)
            span.set_attribute("http.response.status_code", answer.status)
            return answer


def _attributes(url: str) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {"http.request.method": "GET"}
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # the call itself will say so
        return attributes
    if host is not None and port is not None:
        attributes |= {"server.address": host, "server.port": port, "url.scheme": parts.scheme}
    return attributes
