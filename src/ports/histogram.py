"""How often something took how long."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts by bounds, in seconds: ``buckets[i]`` took no longer than ``bounds[i]``, the last one longer than all."""

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds
