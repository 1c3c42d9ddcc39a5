"""The same metrics for a collector of OpenTelemetry, when somebody wants them there."""

import asyncio
import logging
import time
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

from entrypoints.metrics.otlp import MetricsExport
from entrypoints.metrics.registry import Metrics
from entrypoints.settings import Settings
from entrypoints.testing import crossdock
from tests.stand_ins.collector import collecting
from tests.unit.journeys.test_main_journey import a_placed_order, a_registered_user
from tests.unit.metrics.scrape import scrape


def values(metric: Any) -> dict[frozenset[tuple[str, str]], float]:
    """What a metric of the protocol says, by its attributes; of a histogram how many there were."""
    kind = metric.WhichOneof("data")
    return {
        frozenset((one.key, one.value.string_value) for one in point.attributes): (
            point.count if kind == "histogram" else point.as_double
        )
        for point in getattr(metric, kind).data_points
    }


async def test_a_collector_is_told_what_prometheus_reads() -> None:
    with collecting() as collector:
        async with crossdock(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_TRACES_EXPORTER="none",
            OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20secret",
        ) as dock:
            await a_placed_order(dock, await a_registered_user(dock))
            await dock.settle()
            read = await scrape(dock)

    told = collector.metrics
    for (name, labels), value in read.samples.items():
        if name.endswith("_total") and name != "crossdock_http_requests_total":  # which has counted the scrape
            metric = told[name.removesuffix("_total")]
            assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, 2)
            assert values(metric)[labels] == value or name.startswith("process_")
        elif name.startswith("crossdock_") and name.endswith("_count") and ("route", "/metrics") not in labels:
            assert values(told[name.removesuffix("_count")])[labels] == value
    assert told["crossdock_effect_delay_seconds"].unit == "s"
    assert told["crossdock_deliveries"].WhichOneof("data") == "gauge"
    assert told["crossdock_build"].gauge.data_points[0].as_double == 1
    assert {request.headers["authorization"] for request in collector.requests} == {"Bearer secret"}


async def test_a_histogram_is_told_with_its_bounds() -> None:
    with collecting() as collector:
        async with crossdock(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{collector.url}/v1/metrics") as dock:
            await a_registered_user(dock)
            await dock.clock.advance(7)
            await dock.settle()

    (point,) = collector.metrics["crossdock_effect_delay_seconds"].histogram.data_points
    (at,) = [number for number, count in enumerate(point.bucket_counts) if count]
    assert (point.count, point.sum) == (1, pytest.approx(7))
    assert list(point.explicit_bounds)[at - 1 : at + 1] == [5.0, 10.0]
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1


async def test_they_are_told_again_and_again_and_once_more_at_the_end() -> None:
    with collecting() as collector:
        async with crossdock(
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{collector.url}/v1/metrics", OTEL_METRIC_EXPORT_INTERVAL="100"
        ):
            await asyncio.to_thread(collector.wait_for_requests, 2)
        told = len(collector.requests)

        assert told >= 3


async def test_the_last_word_is_no_false_alarm() -> None:
    """An ordinary end is no trouble: what is told last was seen while all was open."""
    with collecting() as collector:
        async with crossdock(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{collector.url}/v1/metrics"):
            pass

        assert set(values(collector.metrics["crossdock_storage_up"]).values()) == {1}
        assert set(values(collector.metrics["crossdock_check"]).values()) == {0}


async def test_metrics_outlive_what_the_exporter_does_not_foresee(monkeypatch: pytest.MonkeyPatch) -> None:
    """One telling that fails costs itself, and not all that would follow."""
    with collecting() as collector:
        async with crossdock(
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{collector.url}/v1/metrics", OTEL_METRIC_EXPORT_INTERVAL="100"
        ) as dock:
            failing = [RuntimeError("the exporter has a fault")]
            export = OTLPMetricExporter.export

            def fails_once(self: OTLPMetricExporter, *given: Any, **named: Any) -> Any:
                if failing:
                    raise failing.pop()
                return export(self, *given, **named)

            monkeypatch.setattr(OTLPMetricExporter, "export", fails_once)
            await asyncio.to_thread(collector.wait_for_requests, len(collector.requests) + 2)
            await dock.settle()

    assert not failing


def test_a_loop_that_has_ended_is_asked_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """While a collector hangs the process may be done before the last telling begins."""
    telling = MetricsExport(
        Metrics(), Settings.load({"OTEL_METRICS_EXPORTER": "otlp"}, None).telemetry, process="a process"
    )
    asyncio.run(telling.start())

    telling._told_to_end.set()
    telling._thread.join(5)

    assert "could not be gathered" in caplog.text


async def test_a_collector_that_is_away_costs_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    address = "http://user:secret@127.0.0.1:9/v1/metrics"
    began = time.monotonic()

    async with crossdock(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=address):
        pass

    assert time.monotonic() - began < 5
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("environ", "tells"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://localhost:4318/v1/metrics"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, False),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_METRICS_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "CROSSDOCK_METRICS": "false"}, False),
    ],
    ids=["nothing", "endpoint", "metrics endpoint", "traces endpoint", "exporter", "no exporter", "disabled", "off"],
)
def test_metrics_are_told_when_somebody_says_so(environ: dict[str, str], tells: bool) -> None:
    assert Settings.load(environ, None).telemetry.tells_metrics is tells
