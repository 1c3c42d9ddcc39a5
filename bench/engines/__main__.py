"""Measures Crossdock on PostgreSQL, Kafka, RabbitMQ and Redis beside what one would write by hand.

Sides take turns on the same servers in each round. Times never fail the run; a ledger that is wrong does (exit 1).
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import machine
from bench.engines.consumers import consumers
from bench.engines.databases import value
from bench.engines.effect import effect
from bench.engines.orders import orders
from bench.engines.place import PEERS_PYTHON, Place
from bench.engines.relays import relays
from bench.engines.report import document, table
from bench.engines.roles import roles
from bench.engines.stopped import stopped
from bench.engines.tasks import tasks
from bench.engines.turns import Cell, Round, Turn
from tools.services import addresses

RESULTS = Path(__file__).parents[1] / "results"
CELLS: Mapping[str, Callable[[Place], AbstractContextManager[Cell]]] = {
    "a": orders,
    "b": relays,
    "c": consumers,
    "d": tasks,
    "e": effect,
    "f": roles,
    "g": stopped,
}
SERVERS = ("postgresql", "kafka", "rabbitmq", "redis")


def say(text: str, end: str = " ") -> None:
    """Progress, for who is waiting."""
    print(text, end=end, file=sys.stderr, flush=True)


def run(wanted: argparse.Namespace) -> int:
    """Measure, print and write down; 1 when a ledger is wrong or ours did not run."""
    if away := [server for server in SERVERS if not addresses.reachable(server)]:
        say(f"not there: {', '.join(away)}; start them with `make services`", end="\n")
        return 1
    if not PEERS_PYTHON.exists():
        say("the peers have no environment; `make bench` makes it", end="\n")
        return 1
    found: dict[str, tuple[Cell, list[Round]]] = {}
    missing: dict[str, list[str]] = {}
    with TemporaryDirectory(dir=RESULTS, prefix="engines-") as name:
        facts = described(Path(name).resolve())
        place = Place(Path(name).resolve(), wanted.seconds, wanted.warm_up, wanted.with_debezium, wanted.scale)
        chosen = wanted.only or list(CELLS)
        deadline = time.perf_counter() + 60 * wanted.minutes
        for place_in_line, key in enumerate(chosen):
            began = time.perf_counter()
            share = (deadline - began) / (len(chosen) - place_in_line)
            with CELLS[key](place) as cell:
                rounds = list(measured(cell, wanted, missing, share))
            found[key] = cell, rounds
            say(f"({time.perf_counter() - began:.0f} s)", end="\n")
            print("", *table(cell, rounds), sep="\n", flush=True)
            (RESULTS / "engines.json").write_text(document(facts, found, missing), encoding="utf-8")
    print(*(f"{which} did not run: {why[0]}" for which, why in missing.items()), sep="\n")
    wrong = any(turn.faults for _, rounds in found.values() for turns in rounds for turn in turns.values())
    ours = {f"{cell.key}/{side.key}" for cell, _ in found.values() for side in cell.sides if side.ours}
    return int(wrong or bool(ours & missing.keys()))


def measured(cell: Cell, wanted: argparse.Namespace, missing: dict[str, list[str]], share: float) -> Iterator[Round]:
    """The rounds of a cell that fit into its share of the time; who comes first in one comes last in the next."""
    until, longest = time.perf_counter() + share, 0.0
    sides = [side for side in cell.sides if not wanted.sides or side.key in wanted.sides]
    for number in range(1, wanted.rounds + 1):
        began = time.perf_counter()
        if number > 1 and began + longest > until:
            say(f"\n{cell.key}: no time for round {number}, see --minutes", end="\n")
            return
        say(f"\n{cell.key}, round {number} of {wanted.rounds}:")
        turns: dict[str, Turn] = {}
        for side in sides if number % 2 else reversed(sides):
            which = f"{cell.key}/{side.key}"
            if which in missing or (side.once and number > 1):
                continue
            say(side.key)
            try:
                turns[side.key] = side.run()
            except Exception as error:
                # One that cannot run here is told of, and the others go on.
                missing[which] = [f"{type(error).__name__}: {str(error)[:WHY_MOST]}"]
                say("(did not run)")
        longest = max(longest, time.perf_counter() - began)
        yield turns


WHY_MOST = 1500


def described(folder: Path) -> dict[str, Any]:
    """What the numbers depend on besides the code."""
    facts = machine.described(folder)
    facts["postgresql"] = str(value(addresses.POSTGRESQL, "SHOW server_version")).split()[0]
    facts["asyncpg"], facts["aiokafka"], facts["pika"] = version("asyncpg"), version("aiokafka"), version("pika")
    print(", ".join(f"{name} {fact}" for name, fact in facts.items()))
    if float(facts["load_average"]) > (os.cpu_count() or 1) / 4:
        print("others are working on this machine: look at how far the rounds are apart before you look at a median")
    return facts


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--minutes", type=float, default=15.0, help="in all, about; a cell has its share of what is left"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of load in each turn")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds before it")
    parser.add_argument("--only", nargs="+", choices=CELLS, metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--sides", nargs="+", metavar="SIDE", help="of these cells, for a closer look")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of events and tasks, for a quick look")
    parser.add_argument("--with-debezium", action="store_true", help="in e: change data capture, too (wants Maven)")
    # Ended from outside, children are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
