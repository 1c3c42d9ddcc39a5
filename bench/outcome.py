"""What a whole run has measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.cells import Cell, Round
from bench.children import Child


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every round of every cell, and what the numbers depend on."""

    machine: Mapping[str, Any]
    cells: Sequence[Cell]
    rounds: Mapping[str, Sequence[Round]]  # by the key of the cell
    starts: Sequence[tuple[Child, Child]]  # ours and the hand-written one, round by round
    drain_of_paused: tuple[int, float | None] | None  # deliveries and the seconds that they took

    @property
    def right(self) -> bool:
        """Whether nothing is wrong in any ledger."""
        return not any(each.faults for rounds in self.rounds.values() for each in rounds)
