"""What the numbers are held against: ratios of cells that took turns in one run, never bare seconds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.cells import Round
from bench.children import Child
from bench.outcome import Outcome
from bench.spread import Spread


@dataclass(frozen=True, slots=True)
class Target:
    """What was wanted and what came of it."""

    what: str
    measured: Spread
    unit: str
    digits: int
    bound: float
    aim: float | None = None
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """Whether the median is within the bound."""
        return self.measured.middle <= self.bound if self.at_most else self.measured.middle >= self.bound

    @property
    def verdict(self) -> str:
        """In one word, or a few."""
        if not self.reached:
            return "short"
        return "ok, short of the aim" if self.aim is not None and self.measured.middle < self.aim else "ok"

    @property
    def wanted(self) -> str:
        """``at least 0.9×, aim 1.2×``."""
        bound = f"{'at most' if self.at_most else 'at least'} {self.bound:g}{self.unit}"
        return bound if self.aim is None else f"{bound}, aim {self.aim:g}{self.unit}"


def faster(rounds: Mapping[str, Sequence[Round]], *keys: str) -> str | None:
    """Which of these cells has the higher rate; None when none was measured."""
    measured = [key for key in keys if key in rounds]
    return max(measured, key=lambda key: median(each.rate for each in rounds[key]), default=None)


def targets(outcome: Outcome) -> Iterator[Target]:
    """Each that can be told from what was measured."""
    rounds = outcome.rounds
    by_hand = faster(rounds, "3a", "3b")
    for ours, theirs, bound, aim in (
        ("1", by_hand, 0.9, 1.2),
        ("2", by_hand, 1.3, 1.6),
        ("1", "4", 0.3, None),
        ("1b", "1", 0.85, None),
        ("5a", "5e", 200.0, None),
        ("5b", "5e", 50.0, None),
        ("5c", "5e", 10.0, None),
        ("5d", "5a", 0.9, None),
        ("7b", "7a", 0.85, None),
        ("7c", "7a", 0.95, None),
        ("8b", "8a", 0.9, None),
        ("8c", "8a", 0.85, None),
    ):
        if ours in rounds and theirs is not None and theirs in rounds:
            pairs = zip(rounds[ours], rounds[theirs], strict=True)
            # The least that can be told from nothing stands in for a peer that answered nothing.
            ratios = Spread.of([one.rate / max(other.rate, 0.1) for one, other in pairs])
            yield Target(f"rate of {ours} to {theirs}", ratios, "×", 2 if bound < 10 else 0, bound, aim)
    if "1" in rounds:
        p99 = Spread.of([each.p99_ms for each in rounds["1"]])
        yield Target("p99 of 1", p99, " ms", 1, 30, at_most=True)
    if outcome.starts:
        seconds = _more(outcome, lambda start: start.seconds_to_first_answer)
        yield Target("6: start to first answer, ours less by hand", seconds, " s", 2, 0.4, at_most=True)
        memory = _more(outcome, lambda start: start.resident_mib)
        yield Target("6: resident memory, ours less by hand", memory, " MiB", 1, 20, at_most=True)


def _more(outcome: Outcome, of: Callable[[Child], float]) -> Spread:
    return Spread.of([of(ours) - of(by_hand) for ours, by_hand in outcome.starts])
