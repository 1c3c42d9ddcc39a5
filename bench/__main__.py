"""Measures Crossdock beside what one would write by hand: every cell takes its turn in each round.

Times never fail the run; an order that was answered 201 and is not there does (exit 1).
"""

import argparse
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import machine
from bench.cells import Bench, Round, cells
from bench.children import Child
from bench.outcome import Outcome
from bench.report import document, table
from bench.targets import targets

# Not the system's folder for temporary files, which may be memory: durable must mean a disk.
RESULTS = Path(__file__).parent / "results"
START = "6"


def say(text: str, end: str = " ") -> None:
    """Progress, for who is waiting."""
    print(text, end=end, file=sys.stderr, flush=True)


def measured(wanted: argparse.Namespace, folder: Path) -> Outcome:
    """All rounds of all cells that are wanted."""
    bench = Bench(folder, seconds=wanted.seconds, warm_up=wanted.warm_up)
    chosen = [cell for cell in cells(bench) if not wanted.only or cell.key in wanted.only]
    facts = machine.described(folder)
    bench.prepare()
    rounds: dict[str, list[Round]] = {cell.key: [] for cell in chosen}
    starts: list[tuple[Child, Child]] = []
    for number in range(1, wanted.rounds + 1):
        say(f"round {number} of {wanted.rounds}:")
        for cell in chosen:
            say(cell.key)
            rounds[cell.key].append(cell.run())
        if not wanted.only or START in wanted.only:
            say(START)
            starts.append((bench.start_ours(), bench.start_by_hand()))
        say("", end="\n")
    return Outcome(facts, chosen, rounds, starts, bench.drain_of_paused)


def run(wanted: argparse.Namespace) -> int:
    """Measure, print and write down; 1 when a ledger is wrong."""
    with TemporaryDirectory(dir=RESULTS, prefix="run-") as name:
        outcome = measured(wanted, Path(name).resolve())
    found = list(targets(outcome))
    (RESULTS / "latest.json").write_text(document(outcome, found), encoding="utf-8")
    print("", *table(outcome, found), sep="\n")
    return 0 if outcome.right else 1


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="measured in each cell and round")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds before it")
    parser.add_argument("--only", nargs="+", metavar="CELL", help="1, 1b, 2, 3a, 3b, 4, 5a to 5e, 6, 7a to 8c")
    # Ended from outside, children are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
