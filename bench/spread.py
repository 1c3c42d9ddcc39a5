"""What several rounds come to: the middle, and how far apart they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds with the least and the most of them."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        return cls(median(values), min(values), max(values))

    def text(self, digits: int = 0, unit: str = "") -> str:
        """``1,234 (1,200–1,300)``."""
        return f"{self.middle:,.{digits}f}{unit} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"
