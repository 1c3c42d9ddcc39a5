"""Prints the tables of the latest run as they stand in docs/performance.md: ``python -m bench.engines.page``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.spread import Spread

RESULTS = Path(__file__).parents[1] / "results" / "engines.json"
# What a reader is shown of a cell, in this order; the whole is in the file.
SHOWN = {
    "rate": "per second",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "lag_p99_ms": "loop lag p99 ms",
    "drain_s": "drained in s",
    "ready_s": "ready after s",
    "memory_mib": "MiB",
}


def page(found: Mapping[str, Any]) -> Iterator[str]:
    """Two tables a cell: what was measured, and what it is held against."""
    for key, cell in found["cells"].items():
        turns = {side: [each[side]["values"] for each in cell["rounds"] if side in each] for side in cell["sides"]}
        names = [name for name in SHOWN if any(name in values for each in turns.values() for values in each)]
        yield from ("", f"**{key}** {cell['name']}", "")
        rows = [[name, *(_cell(turns[side], value) for value in names)] for side, name in cell["sides"].items()]
        yield from _markdown(["", *(SHOWN[name] for name in names)], [row for row in rows if any(row[1:])])
        if cell["targets"]:
            yield ""
            yield from _markdown(["ratio or bound", "measured", "wanted", ""], list(map(_target, cell["targets"])))


def _cell(turns: Sequence[Mapping[str, float]], name: str) -> str:
    values = [values[name] for values in turns if name in values]
    if not values:
        return ""
    most = max(values)
    return Spread.of(values).text(0 if most >= 100 else 1 if most >= 10 else 2)


def _target(target: Mapping[str, Any]) -> list[str]:
    measured = Spread(**target["measured"]).text(target["digits"], target["unit"])
    wanted = f"{'at most' if target['at_most'] else 'at least'} {target['bound']:g}{target['unit']}"
    return [target["what"], measured, wanted, "reached" if target["reached"] else "short"]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    print(*page(json.loads(RESULTS.read_text(encoding="utf-8"))), sep="\n")
