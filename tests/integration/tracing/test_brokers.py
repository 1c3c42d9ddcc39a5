"""One trace over each event broker, and over two of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.model.events import OrderCreated
from tests.builders import an_email
from tests.contracts.tracing import CONFIRMATION, TracingContract, a_caller, upwards
from tests.integration.mailer.smtp_server import SmtpServer
from tests.integration.tracing.running import Running, serving, settings_of
from tests.stand_ins.collector import Collector


class TestBackgroundTracing(TracingContract):
    """On the memory broker, which has a test of its own with a queue in memory."""

    @pytest.fixture
    async def service(
        self, tmp_path: Path, prefix: str, collector: Collector, mail: SmtpServer
    ) -> AsyncIterator[Running]:
        async with serving(settings_of(tmp_path, prefix, collector, mail), collector, mail) as running:
            yield running


class TestKafkaTracing(TracingContract):
    @pytest.fixture
    async def service(
        self, tmp_path: Path, on_kafka: str, collector: Collector, mail: SmtpServer
    ) -> AsyncIterator[Running]:
        settings = settings_of(tmp_path, on_kafka, collector, mail, CROSSDOCK_EVENT_BROKER="kafka")
        async with serving(settings, collector, mail) as running:
            yield running


class TestRabbitMqTracing(TracingContract):
    @pytest.fixture
    async def service(
        self, tmp_path: Path, on_rabbitmq: str, collector: Collector, mail: SmtpServer
    ) -> AsyncIterator[Running]:
        settings = settings_of(tmp_path, on_rabbitmq, collector, mail, CROSSDOCK_EVENT_BROKER="rabbitmq")
        async with serving(settings, collector, mail) as running:
            yield running


async def test_a_change_of_broker_does_not_break_the_trace(
    tmp_path: Path, on_kafka: str, on_rabbitmq: str, collector: Collector, mail: SmtpServer
) -> None:
    """Kafka has taken the event, and nobody received it; RabbitMQ is given it again."""
    before = settings_of(tmp_path, on_kafka, collector, mail, CROSSDOCK_EVENT_BROKER="kafka")
    after = settings_of(tmp_path, on_rabbitmq, collector, mail, CROSSDOCK_EVENT_BROKER="rabbitmq")
    trace_id = await order_that_is_sent_and_not_received(before, collector, mail)

    async with serving(after, collector, mail) as running:
        spans = await running.settled(trace_id, CONFIRMATION)

    (last,) = [span for span in spans if span.name == "send mail"]
    created = [span for span in spans if span.attributes.get("cloudevents.event_type") == OrderCreated.type]
    assert [(span.name, span.attributes["messaging.system"]) for span in created] == [
        ("send order_events", "kafka"),
        ("send order_events", "rabbitmq"),
        ("process order_events", "rabbitmq"),
    ]
    assert [span.name for span in upwards(last, spans)][-2:] == ["send order_events", "POST /orders/"]


async def order_that_is_sent_and_not_received(settings: dict[str, str], collector: Collector, mail: SmtpServer) -> str:
    """By a service that ends right after it was sent; the trace of it."""
    trace_id, span_id = a_caller()
    async with serving(settings, collector, mail, delivering=False) as running:
        user = (await running.client.post("/register-user/", json={"email": an_email().address})).json()
        line = {"sku": "tea-1", "quantity": 2, "unit_price": "9.90"}
        order = {"user_id": user["id"], "currency": "EUR", "lines": [line]}
        await running.client.post("/orders/", json=order, headers={"traceparent": f"00-{trace_id}-{span_id}-01"})
        await running.container.event_relay().step()
    return trace_id
