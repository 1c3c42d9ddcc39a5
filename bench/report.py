"""The table for people, and the same for machines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from bench.cells import Cell, Round
from bench.load import CONNECTIONS
from bench.outcome import Outcome
from bench.spread import Spread
from bench.targets import Target, faster

_CELL_HEAD = ("", "cell", "requests/s", "p50 ms", "p99 ms", "CPU µs each", "durability", "ledger")
_TARGET_HEAD = ("target", "measured", "wanted", "")


def table(outcome: Outcome, targets: Sequence[Target]) -> Iterator[str]:
    """Lines to print. Each number is a median, with the least and the most of all rounds."""
    machine, rounds = outcome.machine, outcome.rounds
    yield (
        f"Python {machine['python']}, FastAPI {machine['fastapi']}, SQLite {machine['sqlite']}, {machine['system']}, "
        f"{machine['cores']} cores, load average {machine['load_average']} before the run"
    )
    yield (
        f"a durable write of 4 KiB takes {machine['sync_ms']:.2f} ms; the load generator reaches "
        f"{machine['generator_per_second']:,}/s over {CONNECTIONS} connections when nothing is behind them"
    )
    if machine["load_average"] > machine["cores"] / 4:
        yield "others are working on this machine: look at how far the rounds are apart before you look at a median"
    yield ""
    yield from aligned(_CELL_HEAD, [_cell_row(cell, rounds[cell.key]) for cell in outcome.cells])
    yield ""
    yield from _remarks(outcome)
    yield ""
    yield from aligned(_TARGET_HEAD, [_target_row(target) for target in targets])
    yield from _faults(rounds)


def document(outcome: Outcome, targets: Sequence[Target]) -> str:
    """Everything that was measured, round by round, as JSON."""
    value = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "connections": CONNECTIONS,
        "machine": outcome.machine,
        "cells": {
            cell.key: {
                "name": cell.name,
                "durability": cell.durability,
                "rounds": [asdict(each) for each in outcome.rounds[cell.key]],
            }
            for cell in outcome.cells
        },
        "drain_of_paused": outcome.drain_of_paused,
        "starts": [{"ours": asdict(ours), "by_hand": asdict(theirs)} for ours, theirs in outcome.starts],
        "targets": [{**asdict(target), "reached": target.reached} for target in targets],
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _cell_row(cell: Cell, rounds: Sequence[Round]) -> tuple[str, ...]:
    return (
        cell.key,
        cell.name,
        Spread.of([each.rate for each in rounds]).text(digits=0 if rounds[0].rate >= 100 else 1),
        f"{Spread.of([each.p50_ms for each in rounds]).middle:,.1f}",
        Spread.of([each.p99_ms for each in rounds]).text(digits=1),
        f"{Spread.of([each.cpu_us for each in rounds]).middle:,.0f}",
        cell.durability,
        _ledger(cell, rounds),
    )


def _ledger(cell: Cell, rounds: Sequence[Round]) -> str:
    if any(each.faults for each in rounds):
        return "WRONG"
    return "–" if cell.durability == "none" else f"ok, {sum(each.total for each in rounds):,} answers"


def _target_row(target: Target) -> tuple[str, ...]:
    return (target.what, target.measured.text(target.digits, target.unit), target.wanted, target.verdict)


def _remarks(outcome: Outcome) -> Iterator[str]:
    rounds = outcome.rounds
    if "1" in rounds:
        backlog = Spread.of([each.backlog or 0 for each in rounds["1"]])
        yield f"1   deliveries waiting when the load ended: {backlog.text()}; drained in {_drained(rounds['1'])}"
    if outcome.drain_of_paused is not None:
        waiting, seconds = outcome.drain_of_paused
        how_long = "not within a minute" if seconds is None else f"in {seconds:.1f} s"
        yield f"2   what the first round left, {waiting:,} deliveries, was drained {how_long} by crossdock up"
    if (by_hand := faster(rounds, "3a", "3b")) is not None:
        yield f"3   the faster of both hand-written routes is {by_hand}"
    if outcome.starts:
        for name, side in (("crossdock up", 0), ("by hand, with SQLAlchemy and httpx imported", 1)):
            first = Spread.of([pair[side].seconds_to_first_answer for pair in outcome.starts]).text(2, " s")
            memory = Spread.of([pair[side].resident_mib for pair in outcome.starts]).text(1, " MiB")
            yield f"6   {name}: first answer after {first}, resident memory {memory}"
    most = max((each.generator_cpu for of_cell in rounds.values() for each in of_cell), default=0)
    yield f"    the load generator took at most {most:.0%} of a core"


def _drained(rounds: Sequence[Round]) -> str:
    seconds = [each.drain_seconds for each in rounds if each.drain_seconds is not None]
    if len(seconds) < len(rounds):
        return f"more than a minute in {len(rounds) - len(seconds)} of {len(rounds)} rounds"
    return Spread.of(seconds).text(2, " s")


def _faults(rounds: Mapping[str, Sequence[Round]]) -> Iterator[str]:
    for key, of_cell in rounds.items():
        for number, each in enumerate(of_cell, 1):
            if each.wrong:
                kinds = ", ".join(f"{count}× {kind}" for kind, count in each.wrong.items())
                yield f"cell {key}, round {number}: other answers than expected: {kinds}"
            for fault in each.faults:
                yield f"cell {key}, round {number}: LEDGER: {fault}"


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of text, its columns as wide as they have to be."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, ["─" * width for width in widths], *rows):
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
