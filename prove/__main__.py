"""Proves the promises on real servers that are killed: python -m prove."""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from prove.play import play
from prove.report import Outcome, table, verdict
from prove.scenarios import LONG, SHORT, Scenario, by_chance
from prove.servers import private
from prove.world import ALL, QUICK, Choice
from tools.services.failures import Failure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m prove", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two choices, a handful of faults, under three minutes")
    parser.add_argument("--seed", help="chance is repeated with the seed that a run has printed")
    parser.add_argument("--only", nargs="+", metavar="SCENARIO", help="these alone")
    parser.add_argument("--on", nargs="+", metavar="WORD", help="choices with all of these, as kafka or celery")
    parser.add_argument("--minutes", type=float, default=0, help="of random faults on each choice, too")
    parser.add_argument("--rate", type=float, default=40, help="requests a second")
    parser.add_argument(
        "--keep", action="store_true", help="keep the logs of all processes and servers, also when all is well"
    )
    told = parser.parse_args(arguments)

    seed = told.seed or str(random.randrange(2**32))
    plan = [
        (choice, scenario)
        for choice, scenario in _plan(told.quick, told.minutes)
        if (not told.only or scenario.name in told.only) and all(word in str(choice) for word in told.on or ())
    ]
    if not plan:
        parser.error("nothing has such a name")
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="prove-"))
    outcomes = asyncio.run(_play_all(plan, folder, seed, told.rate))

    print(*table(outcomes), sep="\n")
    broken = any(outcome.faults for outcome in outcomes)
    if broken or told.keep:
        print(f"The logs of all processes are in {folder}")
    else:
        shutil.rmtree(folder)
    print(verdict(outcomes))
    return int(broken)


def _plan(quick: bool, minutes: float) -> list[tuple[Choice, Scenario]]:
    if quick:
        return [(choice, SHORT) for choice in QUICK]
    scenarios = [*LONG, *([Scenario("by-chance", by_chance(minutes))] if minutes else [])]
    return [(choice, scenario) for choice in ALL for scenario in scenarios if scenario.fits(choice)]


async def _play_all(plan: Sequence[tuple[Choice, Scenario]], folder: Path, seed: str, rate: float) -> list[Outcome]:
    outcomes = []
    with private() as servers:
        for choice, scenario in plan:
            print(f"\n{choice}: {scenario.name}", flush=True)
            began = time.monotonic()
            place = folder / f"{choice} {scenario.name}".replace(" ", "-")
            outcome = await play(scenario, choice, servers, place, seed=seed, rate=rate)
            outcomes.append(outcome)
            for server in servers.all:
                shutil.copy(server.log, place / f"{server.name}.log")
            print(*(f"  {line}" for line in outcome.notes), sep="\n")
            for fault in outcome.faults:
                print(f"  BROKEN {fault}")
            print(f"  {'broken' if outcome.faults else 'kept'} in {time.monotonic() - began:.0f} s", flush=True)
    return outcomes


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was begun is ended
    try:
        sys.exit(main())
    except Failure as failure:  # a server that cannot be started here
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
