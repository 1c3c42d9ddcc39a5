"""A metric with all its series, in no library's words: it is told to Prometheus, to OpenTelemetry and to siblings."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from ports.histogram import Histogram


class Kind(StrEnum):
    """How the numbers of a metric behave."""

    COUNTER = "counter"  # grows from 0 with each process
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"  # always 1; the labels are what it tells


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a `Histogram` held at one moment."""

    bounds: tuple[float, ...]
    buckets: tuple[int, ...]  # one more than bounds, not cumulated
    total: float


@dataclass(slots=True)
class Family:
    """A metric. ``name`` has its unit, and no ``_total`` or ``_info``: those follow from the kind.

    ``is_shared``: it tells of what all processes have in common, and each would tell the same.
    """

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    is_shared: bool = False
    values: dict[tuple[str, ...], float | Distribution] = field(default_factory=dict)  # by values of the labels

    def add(self, *labels: str, value: float | Histogram) -> Self:
        """One more series."""
        if isinstance(value, Histogram):
            self.values[labels] = Distribution(tuple(value.bounds), tuple(value.buckets), value.total)
        else:
            self.values[labels] = float(value)
        return self

    def add_all(self, values: Iterable[tuple[tuple[str, ...], float | Histogram]]) -> Self:
        """A series for each."""
        for labels, value in values:
            self.add(*labels, value=value)
        return self
