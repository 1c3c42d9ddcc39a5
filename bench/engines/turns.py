"""What a cell is: sides that take turns on the same servers, and what their numbers are held against."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side measured in one round."""

    values: Mapping[str, float]  # by their name with the unit in it, as in ``p99_ms``
    faults: Sequence[str] = ()  # of the ledger
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """One way of doing it."""

    key: str
    name: str
    run: Callable[[], Turn]
    ours: bool = False
    once: bool = False  # too slow for every round, or always the same


Round = Mapping[str, Turn]  # by the key of the side


@dataclass(frozen=True, slots=True)
class Goal:
    """A number that each round gives, and what its median shall be."""

    what: str
    of: Callable[[Round], float]  # raises KeyError for a round that lacks a side
    bound: float
    unit: str = "×"
    digits: int = 2
    aim: float | None = None
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """Sides that are compared."""

    key: str
    name: str
    sides: Sequence[Side]
    goals: Sequence[Goal] = field(default_factory=list)


def ratio(ours: str, theirs: str, bound: float, *, value: str = "rate", aim: float | None = None) -> Goal:
    """How many times as much ours reached as theirs in the same round."""

    def of(turns: Round) -> float:
        # The least that can be told from nothing stands in for a peer that did nothing.
        return turns[ours].values[value] / max(turns[theirs].values[value], 0.1)

    return Goal(f"{value} of {ours} to {theirs}", of, bound, aim=aim)


def at_most(side: str, value: str, bound: float, unit: str = " ms") -> Goal:
    """A bound that is no ratio."""
    return Goal(f"{value} of {side}", lambda turns: turns[side].values[value], bound, unit, 1, at_most=True)
