"""The span of a request says what was asked and what it came to; of a trace that nobody wants told nothing is made."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from adapters.tracing.opentelemetry.spans import Spans
from entrypoints.testing import crossdock
from ports.errors import Unavailable
from tests.contracts.tracing import a_caller, flushed
from tests.stand_ins.collector import Collector, assert_whole, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


async def test_a_request_is_told_by_the_conventions_for_servers(collector: Collector) -> None:
    trace_id, span_id = a_caller()

    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as dock:
        headers = {"traceparent": f"00-{trace_id}-{span_id}-01", "host": "shop.example:8443"}
        await dock.client.get("/users/nobody?code=canary", headers=headers)
        await flushed(dock.container)

    (span,) = collector.of_trace(trace_id)
    assert (span.name, span.kind, span.parent_id) == ("GET /users/{id}", "SERVER", span_id)
    assert not span.is_error
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/users/{id}",
        "http.response.status_code": 404,
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
        "server.port": 8443,
        "url.path": "/users/nobody",
        "url.query": "***",
        "url.scheme": "http",
    }


@pytest.mark.parametrize(
    ("error", "kind"), [(Unavailable("away"), "storage-unavailable"), (ValueError("canary"), "ValueError")]
)
async def test_what_is_our_fault_is_an_error_and_says_of_what_kind(
    collector: Collector, error: Exception, kind: str
) -> None:
    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as dock:
        dock.fail_next("persistence.commit", error)
        await dock.client.post("/register-user/", json={"email": "ann@example.com"})
        await flushed(dock.container)

    (span,) = [span for span in collector.spans if span.kind == "SERVER"]
    assert (span.is_error, span.attributes["error.type"]) == (True, kind)
    assert not any(b"canary" in request.body for request in collector.requests)


async def test_a_method_and_a_host_that_callers_made_up_are_told_as_such(collector: Collector) -> None:
    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as dock:
        await dock.client.request("BREW", "/orders/", headers={"host": "user:canary@shop.example"})
        await flushed(dock.container)

    (span,) = collector.spans
    assert span.name == "HTTP /orders/"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"
    assert "server.address" not in span.attributes


@pytest.mark.parametrize("sampler", ["parentbased_traceidratio", "traceidratio", "always_off"])
async def test_what_is_not_sampled_carries_a_trace_that_says_so(collector: Collector, sampler: str) -> None:
    """And the same trace all the way, so that nobody down the line begins another."""
    settings: Any = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0"}

    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **settings) as dock:
        user = (await dock.client.post("/register-user/", json={"email": "ann@example.com"})).json()
        line = {"sku": "tea-1", "quantity": 2, "unit_price": "9.90"}
        await dock.client.post("/orders/", json={"user_id": user["id"], "currency": "EUR", "lines": [line]})
        await dock.settle()
        await flushed(dock.container)

        registered, created, confirmed = (
            message.attributes["traceparent"].split("-") for message in dock.container.event_broker().published
        )
    assert collector.spans == ()
    assert created[1] == confirmed[1] != registered[1]
    assert {int(parent[3], 16) & 1 for parent in (registered, created, confirmed)} == {0}


async def test_of_those_that_begin_a_trace_some_are_told_whole_and_the_others_not_at_all(collector: Collector) -> None:
    """By the id of the trace, so that others who sample by it do the same."""
    settings: Any = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}

    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **settings) as dock:
        for number in range(40):
            await dock.client.post("/register-user/", json={"email": f"user{number}@example.com"})
        await dock.settle()
        await flushed(dock.container)
        sent = [message.attributes["traceparent"] for message in dock.container.event_broker().published]

    chosen = {parent[3:35] for parent in sent if int(parent[19:35], 16) < 1 << 63}
    assert 0 < len(chosen) < 40
    told = [span for span in collector.spans if span.name != "send"]
    assert {span.trace_id for span in told} == chosen
    assert {parent[3:35] for parent in sent if int(parent[53:], 16) & 1} == chosen
    assert_whole(told)


@pytest.mark.parametrize("ratio", [None, TraceIdRatioBased(0.5)], ids=["asked", "compared"])
def test_a_trace_has_the_id_that_was_decided_on(
    monkeypatch: pytest.MonkeyPatch, ratio: TraceIdRatioBased | None
) -> None:
    """Whether the sampler is asked, or the id compared with what it would say."""
    chosen = [1, (1 << 64) - 1, 2, 1 << 63, (1 << 63) - 1]
    ids = iter(chosen)
    monkeypatch.setattr(RandomIdGenerator, "generate_trace_id", lambda _: next(ids))
    spans = Spans(TracerProvider(ParentBased(TraceIdRatioBased(0.5)), shutdown_on_exit=False), ratio=ratio)

    begun = [spans.of_request("GET", None) for _ in range(5)]

    assert [place and place.trace_id for place, _ in begun] == [f"{each:032x}" for each in chosen]
    assert [place and place.is_sampled for place, _ in begun] == [True, False, True, False, True]
    assert [span is not None for _, span in begun] == [True, False, True, False, True]


async def test_what_is_told_of_a_batch_does_not_hang_on_what_is_not(collector: Collector) -> None:
    told, untold = a_caller(), a_caller()

    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as dock:
        for number, (caller, flags) in enumerate(((told, "01"), (untold, "00"))):
            headers = {"traceparent": f"00-{caller[0]}-{caller[1]}-{flags}"}
            await dock.client.post("/register-user/", json={"email": f"user{number}@example.com"}, headers=headers)
        await dock.settle()
        await flushed(dock.container)
        sent = {message.attributes["traceparent"][3:35]: message for message in dock.container.event_broker().published}

    assert sent[untold[0]].attributes["traceparent"] == f"00-{untold[0]}-{untold[1]}-00"
    assert "send user_events" in {span.name for span in collector.of_trace(told[0])}
    assert collector.of_trace(untold[0]) == []


async def test_no_span_is_begun_for_a_trace_that_nobody_wants_told(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what makes a tenth cost a tenth."""
    begun: list[str] = []
    begin = Spans.begin

    def counted(self: Spans, name: str, *others: object, **named: object) -> object:
        begun.append(name)
        return begin(self, name, *others, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Spans, "begin", counted)
    settings: Any = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}

    async with crossdock(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **settings) as dock:
        await dock.client.post("/register-user/", json={"email": "ann@example.com"})
        await dock.settle()

        assert len(dock.mails) == 1
    assert begun == []
