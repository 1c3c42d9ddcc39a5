"""A real backend shows the trace of an order, told to it directly and by way of a real collector.

Both are built with Go, which takes minutes: `pytest -m jaeger`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.contracts.tracing import TracingContract
from tests.integration.mailer.smtp_server import SmtpServer
from tests.integration.tracing.running import Running, serving, settings_of, working
from tests.services import private
from tests.stand_ins.collector import Collector, Span
from tools.services import addresses
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
                if sum(span.name == name for span in spans) >= number and _are_together(spans):
                    return spans
                await asyncio.sleep(0.1)


def _are_together(spans: Sequence[Span]) -> bool:
    """Several processes tell of a trace, each in its own time: no more than the caller's own span is missing."""
    return len({span.parent_id for span in spans} - {span.span_id for span in spans}) <= 1


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

    chosen: Mapping[str, str] = MappingProxyType({})

    @pytest.fixture
    def endpoint(self, jaeger: Jaeger) -> str:
        return jaeger.address

    @pytest.fixture
    def settings(
        self, tmp_path: Path, prefix: str, collector: Collector, mail: SmtpServer, endpoint: str
    ) -> Iterator[dict[str, str]]:
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **self.chosen}
        settings = settings_of(tmp_path, prefix, collector, mail, **told)
        with working(tmp_path, settings) if self.chosen.get("CROSSDOCK_TASK_QUEUE") == "celery" else nullcontext():
            yield settings

    @pytest.fixture
    async def service(
        self, settings: dict[str, str], collector: Collector, mail: SmtpServer, jaeger: Jaeger
    ) -> AsyncIterator[Shown]:
        async with serving(settings, collector, mail) as running:
            shown = Shown(running.container, running.client, collector, mail)
            shown.jaeger = jaeger
            yield shown


class TestJaegerTracing(ShownByJaeger):
    """On the memory broker and background tasks."""


class TestCollectorTracing(ShownByJaeger):
    @pytest.fixture
    def endpoint(self, between: OtelCollector) -> str:
        return between.address


@pytest.mark.usefixtures("on_kafka")
class TestJaegerKafkaTracing(ShownByJaeger):
    chosen = MappingProxyType({"CROSSDOCK_EVENT_BROKER": "kafka"})


@pytest.mark.usefixtures("on_rabbitmq")
class TestJaegerRabbitMqTracing(ShownByJaeger):
    chosen = MappingProxyType({"CROSSDOCK_EVENT_BROKER": "rabbitmq"})


@pytest.mark.usefixtures("on_kafka", "redis_url")
class TestJaegerCeleryOnRedisTracing(ShownByJaeger):
    chosen = MappingProxyType(
        {"CROSSDOCK_EVENT_BROKER": "kafka", "CROSSDOCK_TASK_QUEUE": "celery", "CELERY_BROKER_URL": addresses.REDIS}
    )


@pytest.mark.usefixtures("on_rabbitmq", "redis_url")
class TestJaegerCeleryOnRabbitMqTracing(ShownByJaeger):
    chosen = MappingProxyType(
        {
            "CROSSDOCK_EVENT_BROKER": "rabbitmq",
            "CROSSDOCK_TASK_QUEUE": "celery",
            "CELERY_BROKER_URL": addresses.RABBITMQ,
        }
    )
