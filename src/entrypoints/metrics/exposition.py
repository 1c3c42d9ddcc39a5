"""Metrics as Prometheus reads them."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from entrypoints.metrics.family import Distribution, Family, Kind

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def exposition(families: Iterable[Family]) -> bytes:
    """The text format of Prometheus."""
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - for whoever asks
    from prometheus_client.registry import Collector  # noqa: PLC0415

    class Told(Collector):
        def collect(self) -> Iterator["Metric"]:
            return map(_metric, families)

    registry = CollectorRegistry()
    registry.register(Told())
    return generate_latest(registry)


def _metric(family: Family) -> "Metric":
    from prometheus_client import core  # noqa: PLC0415

    name, meaning, labels = family.name, family.meaning, family.labels
    if family.kind is Kind.HISTOGRAM:
        histogram = core.HistogramMetricFamily(name, meaning, labels=labels)
        for values, value in family.values.items():
            assert isinstance(value, Distribution)  # noqa: S101 - the kind says so
            histogram.add_metric(values, _cumulated(value), value.total)
        return histogram
    if family.kind is Kind.INFO:
        info = core.InfoMetricFamily(name, meaning)
        for values in family.values:
            info.add_metric((), dict(zip(labels, values, strict=True)))
        return info
    is_counter = family.kind is Kind.COUNTER
    numbers = (core.CounterMetricFamily if is_counter else core.GaugeMetricFamily)(name, meaning, labels=labels)
    for values, value in family.values.items():
        assert not isinstance(value, Distribution)  # noqa: S101 - the kind says so
        numbers.add_metric(values, value)
    return numbers


def _cumulated(distribution: Distribution) -> list[tuple[str, float]]:
    result: list[tuple[str, float]] = []
    seen = 0
    for bound, count in zip((*distribution.bounds, "+Inf"), distribution.buckets, strict=True):
        seen += count
        result.append((str(bound), seen))
    return result
