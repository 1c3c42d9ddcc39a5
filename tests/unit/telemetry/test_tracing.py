"""One trace, on memory adapters, and what becomes of it where nothing is told to anybody."""

from collections.abc import AsyncIterator, Iterator, Sequence
from io import StringIO
from json import loads
from pathlib import Path
from typing import Any

import pytest

from adapters.tracing.opentelemetry.event_broker import TracedEventBroker
from adapters.tracing.opentelemetry.mailer import TracedMailer
from adapters.tracing.opentelemetry.persistence import TracedPersistence
from adapters.tracing.opentelemetry.task_queue import TracedTaskQueue
from domain.model.events import OrderCreated
from entrypoints.container import Container, migrate_database
from entrypoints.observability import configure_logging
from entrypoints.settings import Settings
from entrypoints.testing import Crossdock, crossdock
from ports.errors import Rejected, Unavailable
from ports.event_broker import EventBroker
from ports.mailer import Mailer
from ports.persistence import Persistence, UnitOfWork
from ports.task_queue import TaskQueue
from tests.contracts.tracing import (
    CONFIRMATION,
    TracedService,
    TracingContract,
    a_caller,
    an_order,
    flushed,
    upwards,
)
from tests.stand_ins.collector import Collector, Span, assert_whole, collecting


class InMemory(TracedService):
    """Where nothing happens until it is told to."""

    def __init__(self, dock: Crossdock, collector: Collector) -> None:
        self.dock = dock
        self.client = dock.client
        self.collector = collector

    async def settled(self, trace_id: str, name: str, number: int = 1) -> Sequence[Span]:
        for _ in range(10):
            await self.dock.settle()
            await flushed(self.dock.container)
            spans = self.collector.of_trace(trace_id)
            if sum(span.name == name for span in spans) >= number:
                break
            await self.dock.clock.advance(1)
        return spans

    def spoil_next_mails(self) -> None:
        self.dock.fail_next("mailer.send", Unavailable("away"), Rejected("no such mailbox"))


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


class TestMemoryTracing(TracingContract):
    @pytest.fixture
    async def service(self, collector: Collector) -> AsyncIterator[InMemory]:
        async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as dock:
            yield InMemory(dock, collector)


class Stumbling:
    """Confirms orders, once it has failed so often."""

    def __init__(self, confirm: Any, failures: int) -> None:
        self._confirm = confirm
        self._left = failures

    async def __call__(self, event: OrderCreated, work: UnitOfWork) -> None:
        if self._left:
            self._left -= 1
            raise ValueError("canary-7f3a9c")
        await self._confirm(event, work)


async def test_a_message_that_is_kept_and_handled_again_stays_in_its_trace(collector: Collector) -> None:
    """It fails twice, waits at the desk, and is replayed; what failed is told by its kind alone."""

    def configure(container: Container) -> None:
        container.confirm_order.override(Stumbling(container.confirm_order(), failures=2))

    async with crossdock(
        configure=configure, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, CROSSDOCK_MAX_ATTEMPTS="2"
    ) as dock:
        service = InMemory(dock, collector)
        trace_id, _ = await an_order(service)
        await service.settled(trace_id, "process order_events", 2)
        letter = await service.dead_letter()
        await service.replay(letter["id"])
        spans = await service.settled(trace_id, CONFIRMATION)

    attempts = [span for span in spans if span.name == "process order_events"]
    assert (letter["lane"], letter["trace_id"]) == ("received", trace_id)
    assert [span.attributes.get("error.type") for span in attempts] == ["ValueError", "ValueError", None]
    assert len({span.parent_id for span in attempts}) == 1
    assert not any(b"canary-7f3a9c" in request.body for request in collector.requests)


async def test_a_change_of_broker_does_not_break_the_trace(collector: Collector, tmp_path: Path) -> None:
    """One broker has taken the event and is gone; the next one gets it again."""
    settings: Any = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "DATABASE_URL": f"sqlite:///{tmp_path}/crossdock.db"}
    migrate_database(Settings.load(settings, None))

    async with crossdock(**settings) as dock:
        trace_id, _ = await an_order(InMemory(dock, collector))
        await dock.container.event_relay().step()
    async with crossdock(**settings) as dock:
        spans = await InMemory(dock, collector).settled(trace_id, CONFIRMATION)

    (mail,) = [span for span in spans if span.name == "send mail"]
    sent = [span for span in spans if span.attributes.get("cloudevents.event_type") == OrderCreated.type]
    assert [span.name for span in upwards(mail, spans)][-1] == "POST /orders/"
    assert [span.name for span in sent] == ["send order_events", "send order_events", "process order_events"]


async def test_what_is_sent_together_is_linked(collector: Collector) -> None:
    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as dock:
        for name in ("ann", "bob"):
            await dock.client.post("/register-user/", json={"email": f"{name}@example.com"})
        await dock.settle()

    (batch,) = [span for span in collector.spans if span.name == "send"]
    sent = [span for span in collector.spans if span.name == "send user_events"]
    assert batch.links == tuple((span.trace_id, span.span_id) for span in sent)
    assert len({span.trace_id for span in (batch, *sent)}) == 3
    assert_whole(collector.spans)


async def test_nothing_private_is_told(collector: Collector) -> None:
    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as dock:
        user = {"email": "canary@example.com", "name": "Canary"}
        registered = (await dock.client.post("/register-user/?token=canary", json=user)).json()
        await dock.client.get("/operator/?token=canary")
        await dock.client.get(f"/users/{registered['id']}", headers={"Authorization": "Bearer canary"})
        await dock.settle()

    assert len(collector.spans) > 5
    assert not any(b"canary" in request.body.lower() for request in collector.requests)


async def test_probes_are_not_traced(collector: Collector) -> None:
    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as dock:
        for path in ("/livez", "/readyz", "/metrics"):
            await dock.client.get(path)

    assert collector.spans == ()


async def test_a_caller_that_samples_nothing_is_not_traced(collector: Collector) -> None:
    trace_id, span_id = a_caller()

    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as dock:
        headers = {"traceparent": f"00-{trace_id}-{span_id}-00"}
        await dock.client.post("/register-user/", json={"email": "ann@example.com"}, headers=headers)
        await dock.settle()

        (message,) = dock.container.event_broker().published
        assert message.attributes["traceparent"].startswith(f"00-{trace_id}-")
        assert message.attributes["traceparent"].endswith("-00")
    assert collector.spans == ()


# --- nothing is told --------------------------------------------------------------------------------------------------


async def test_the_callers_trace_travels_along_without_a_collector() -> None:
    trace_id, span_id = a_caller()
    parent = f"00-{trace_id}-{span_id}-01"

    async with crossdock() as dock:
        user = (await dock.client.post("/register-user/", json={"email": "ann@example.com"})).json()
        line = {"sku": "tea-1", "quantity": 2, "unit_price": "9.90"}
        await dock.client.post(
            "/orders/",
            json={"user_id": user["id"], "currency": "EUR", "lines": [line]},
            headers={"traceparent": parent, "tracestate": "shop=1"},
        )
        await dock.settle()

        of_user, created, confirmed = dock.container.event_broker().published
    assert "traceparent" not in of_user.attributes
    for message in (created, confirmed):
        assert (message.attributes["traceparent"], message.attributes["tracestate"]) == (parent, "shop=1")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("traceparent", "nonsense")],
        [("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"), ("traceparent", f"00-{'c' * 32}-{'d' * 16}-01")],
    ],
    ids=["none", "nonsense", "two"],
)
async def test_without_a_sane_trace_nothing_is_carried(headers: list[tuple[str, str]]) -> None:
    async with crossdock() as dock:
        await dock.client.post("/register-user/", json={"email": "ann@example.com"}, headers=headers)
        await dock.settle()

        (message,) = dock.container.event_broker().published
    assert "traceparent" not in message.attributes


@pytest.mark.usefixtures("logging_as_it_was")
async def test_each_line_of_the_log_names_the_trace_that_it_belongs_to() -> None:
    """Of the request, and of the task that fails later, although nothing is told to a collector."""
    trace_id, span_id = a_caller()
    out = StringIO()

    async with crossdock() as dock:
        configure_logging("json", "info", stream=out)
        dock.fail_next("mailer.send", Rejected("no such mailbox"))
        headers = {"traceparent": f"00-{trace_id}-{span_id}-01"}
        await dock.client.post("/register-user/", json={"email": "ann@example.com"}, headers=headers)
        await dock.client.get("/orders/")
        await dock.settle()

    lines = [loads(line) for line in out.getvalue().splitlines()]
    of_trace = [line["log.logger"] for line in lines if line.get("trace.id") == trace_id]
    assert of_trace == ["crossdock.access", "crossdock.tasks"]
    assert {line["span.id"] for line in lines if "trace.id" in line} == {span_id}
    assert [line["log.logger"] for line in lines if "trace.id" not in line] == ["crossdock.access"]


@pytest.mark.parametrize(
    ("port", "traced"),
    [
        (EventBroker, TracedEventBroker),
        (TaskQueue, TracedTaskQueue),
        (Persistence, TracedPersistence),
        (Mailer, TracedMailer),
    ],
)
def test_what_is_traced_passes_on_all_that_its_port_has(port: type, traced: type) -> None:
    """Also what has a default there: it would hide what the driver says, as soon as traces are told."""
    promised = {name for name in vars(port) if not name.startswith("_")}

    assert promised - vars(traced).keys() == set()
