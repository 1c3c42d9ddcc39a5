"""The tables for people, and the same for machines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from bench.engines.turns import Cell, Goal, Round, Side
from bench.report import aligned
from bench.spread import Spread
from bench.targets import Target

Rounds = Sequence[Round]


def table(cell: Cell, rounds: Rounds) -> Iterator[str]:
    """Lines to print. Each number is a median, with the least and the most of all rounds."""
    yield f"{cell.key}   {cell.name}; rounds: {len(rounds)}"
    yield ""
    names = list(dict.fromkeys(name for turns in rounds for turn in turns.values() for name in turn.values))
    rows = [_side_row(side, names, rounds) for side in cell.sides if any(side.key in turns for turns in rounds)]
    yield from aligned(("", *map(_heading, names), "ledger", "what it is"), rows)
    yield ""
    found = list(targets(cell, rounds))
    if found:
        yield from aligned(
            ("target", "measured", "wanted", ""),
            [(each.what, each.measured.text(each.digits, each.unit), each.wanted, each.verdict) for each in found],
        )
    for number, turns in enumerate(rounds, 1):
        for key, turn in turns.items():
            yield from (f"    round {number}, {key}: LEDGER: {fault}" for fault in turn.faults)
            yield from (f"    round {number}, {key}: {remark}" for remark in turn.remarks)
    yield ""


def targets(cell: Cell, rounds: Rounds) -> Iterator[Target]:
    """Each goal that can be told from what was measured."""
    for goal in cell.goals:
        values = list(_values(goal, rounds))
        if values:
            yield Target(goal.what, Spread.of(values), goal.unit, goal.digits, goal.bound, goal.aim, goal.at_most)


def document(
    machine: Mapping[str, Any], found: Mapping[str, tuple[Cell, Rounds]], missing: Mapping[str, Sequence[str]]
) -> str:
    """Everything that was measured, round by round, as JSON."""
    value = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "missing": missing,
        "cells": {
            key: {
                "name": cell.name,
                "sides": {side.key: side.name for side in cell.sides},
                "rounds": [{key: asdict(turn) for key, turn in turns.items()} for turns in rounds],
                "targets": [{**asdict(target), "reached": target.reached} for target in targets(cell, rounds)],
            }
            for key, (cell, rounds) in found.items()
        },
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _values(goal: Goal, rounds: Rounds) -> Iterator[float]:
    for turns in rounds:
        try:
            yield goal.of(turns)
        except KeyError:
            continue


def _side_row(side: Side, names: Sequence[str], rounds: Rounds) -> tuple[str, ...]:
    turns = [each[side.key] for each in rounds if side.key in each]
    cells = []
    for name in names:
        values = [turn.values[name] for turn in turns if name in turn.values]
        cells.append(Spread.of(values).text(_digits(values)) if values else "")
    return (side.key, *cells, "WRONG" if any(turn.faults for turn in turns) else "ok", side.name)


def _digits(values: Sequence[float]) -> int:
    most = max(map(abs, values))
    return 0 if most >= 100 else 1 if most >= 10 else 2


def _heading(name: str) -> str:
    """``p99_ms`` as ``p99 ms``."""
    return {"rate": "per second", "cpu_us": "CPU µs each"}.get(name, name.replace("_", " "))
