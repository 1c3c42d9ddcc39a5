"""Metrics as a collector of OpenTelemetry is told them.

Importing this imports the SDK: the container does, when there is somebody to tell. The metrics are gathered when they
are due and not kept by instruments of the SDK: those know no histogram that is only looked at, and would count a second
time, with each request, what is counted already.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from entrypoints.metrics.family import Distribution, Family, Kind
from entrypoints.metrics.registry import Metrics
from entrypoints.settings_ports import TelemetrySettings
from entrypoints.telemetry import Losses, ended, resource

log = logging.getLogger("crossdock.telemetry")

GATHER_SECONDS: Final = 5.0
_SINCE_START: Final = export.AggregationTemporality.CUMULATIVE


class MetricsExport:
    """Tells a collector the metrics of this process, now and then, from a thread of its own."""

    def __init__(self, metrics: Metrics, chosen: TelemetrySettings, *, process: str) -> None:
        self._metrics = metrics
        self._resource = resource(chosen, process)
        self._exporter = _exporter(chosen)
        self._seconds = chosen.metrics_interval / 1000
        self._began = time.time_ns()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_to_end = threading.Event()
        # A daemon: while the collector hangs the process can end all the same.
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    async def start(self) -> None:
        """Tell from now on."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Tell how it came out, as far as the collector takes it within a bound."""
        if self._loop is not None:
            self._told_to_end.set()
            await ended(self._thread.join)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._told_to_end.wait(self._seconds)
            try:
                self._tell()
            except Exception:  # of this time: nothing would be told any more
                log.exception("metrics could not be told")

    def _tell(self) -> None:
        assert self._loop is not None  # noqa: S101 - it is started
        coroutine = self._metrics.families()
        gathering: Future[list[Family]] | None = None
        try:
            gathering = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            families = gathering.result(GATHER_SECONDS)
        except Exception as error:  # above all: the event loop is held up, or has ended
            if gathering is None:
                coroutine.close()
            else:
                gathering.cancel()
            log.warning("metrics could not be gathered, and none are told this time: %s", type(error).__name__)
            return
        scope = export.ScopeMetrics(InstrumentationScope("crossdock"), list(points(families, self._began)), "")
        self._exporter.export(export.MetricsData([export.ResourceMetrics(self._resource, [scope], "")]))


def _exporter(chosen: TelemetrySettings) -> "_Exporter":
    url = chosen.url("v1/metrics", chosen.metrics_endpoint)
    authorities = None if chosen.ca_file is None else str(chosen.ca_file)
    exporter = _Exporter(url, certificate_file=authorities, headers=chosen.header_values)
    exporter.losses = Losses("metrics", url)
    return exporter


class _Exporter(OTLPMetricExporter):
    """An exporter whose failures are told as `Losses` tells them; its own words are kept out of the log."""

    losses: Losses

    def export(self, *given: Any, **named: Any) -> export.MetricExportResult:
        result = super().export(*given, **named)
        if result is export.MetricExportResult.SUCCESS:
            self.losses.delivered()
        else:
            self.losses.lost(1)
        return result


def points(families: Iterable[Family], began: int) -> Iterator[export.Metric]:
    """As the SDK's values, counted since ``began`` (nanoseconds since 1970); a metric without series is left out."""
    now = time.time_ns()
    for family in families:
        labelled = [(dict(zip(family.labels, values, strict=True)), value) for values, value in family.values.items()]
        if labelled:
            unit = "s" if family.name.endswith("_seconds") else None
            yield export.Metric(family.name, family.meaning, unit, _data(family.kind, labelled, began, now))


def _data(
    kind: Kind, labelled: list[tuple[dict[str, str], float | Distribution]], began: int, now: int
) -> export.Sum | export.Gauge | export.Histogram:
    if kind is Kind.HISTOGRAM:
        distributions = [_distribution(of, value, began, now) for of, value in labelled]
        return export.Histogram(distributions, _SINCE_START)
    numbers = [
        export.NumberDataPoint(of, began, now, value) for of, value in labelled if isinstance(value, int | float)
    ]
    return export.Sum(numbers, _SINCE_START, is_monotonic=True) if kind is Kind.COUNTER else export.Gauge(numbers)


def _distribution(
    of: Mapping[str, str], value: float | Distribution, began: int, now: int
) -> export.HistogramDataPoint:
    assert isinstance(value, Distribution)  # noqa: S101 - the kind says so
    unknown: Any = None  # the least and the greatest
    return export.HistogramDataPoint(
        of, began, now, sum(value.buckets), value.total, value.buckets, value.bounds, unknown, unknown
    )
