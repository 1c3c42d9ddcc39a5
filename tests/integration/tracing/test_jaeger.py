"""A real backend shows the trace of an order, told to it directly and by way of a real collector.

Both are built with Go, which takes minutes: `pytest -m jaeger`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.tracing import TracingContract
from tests.integration.mailer.smtp_server import SmtpServer
from tests.integration.tracing.running import Running, serving, settings_of
from tests.services import private
from tests.stand_ins.collector import Collector, Span
from tools.services.jaeger import Jaeger
from tools.services.otel_collector import OtelCollector

pytestmark = pytest.mark.jaeger


class Shown(Running):
    """Whose traces are read from Jaeger, by its API."""

    jaeger: Jaeger

    async def settled(self, trace_id: str, name: str, number: int = 1) -> Sequence[Span]:
        async with asyncio.timeout(30):
            while True:
                told = await asyncio.to_thread(self.jaeger.trace, trace_id)
                spans = [span_of(one) for one in sorted(told, key=itemgetter("startTime"))]
                if sum(span.name == name for span in spans) >= number:
                    return spans
                await asyncio.sleep(0.1)


def span_of(told: dict[str, Any]) -> Span:
    """As its API tells it."""
    attributes = {tag["key"]: tag["value"] for tag in told["tags"]}
    above = [reference["spanID"] for reference in told["references"] if reference["refType"] == "CHILD_OF"]
    return Span(
        name=told["operationName"],
        kind=str(attributes.get("span.kind", "")).upper(),
        trace_id=told["traceID"],
        span_id=told["spanID"],
        parent_id=above[0] if above else "",
        attributes=attributes,
        links=(),
        is_error=attributes.get("otel.status_code") == "ERROR",
        status_text="",
        events=(),
        resource={},
    )


@pytest.fixture(scope="module")
def jaeger() -> Iterator[Jaeger]:
    with private(Jaeger) as server:
        yield server


@pytest.fixture(scope="module")
def between(jaeger: Jaeger) -> Iterator[OtelCollector]:
    class ToJaeger(OtelCollector):
        to = jaeger.address

    with private(ToJaeger) as server:
        yield server


class ShownByJaeger(TracingContract):
    """The same cases, read from there."""

    @pytest.fixture
    def endpoint(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def settings(
        self, tmp_path: Path, prefix: str, collector: Collector, mail: SmtpServer, endpoint: str
    ) -> dict[str, str]:
        return settings_of(tmp_path, prefix, collector, mail, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)

    @pytest.fixture
    async def service(
        self, settings: dict[str, str], collector: Collector, mail: SmtpServer, jaeger: Jaeger
    ) -> AsyncIterator[Shown]:
        async with serving(settings, collector, mail) as running:
            shown = Shown(running.container, running.client, collector, mail)
            shown.jaeger = jaeger
            yield shown


class TestJaegerTracing(ShownByJaeger):
    @pytest.fixture
    def endpoint(self, jaeger: Jaeger) -> str:
        return jaeger.address


class TestCollectorTracing(ShownByJaeger):
    @pytest.fixture
    def endpoint(self, between: OtelCollector) -> str:
        return between.address
