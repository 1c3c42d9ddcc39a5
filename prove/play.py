"""One scenario on one choice, from an empty database to the verdict."""

import asyncio
import traceback
from pathlib import Path
from random import Random

from prove.report import Outcome
from prove.scenarios import Scenario
from prove.servers import Servers
from prove.verdict import counts
from prove.world import Choice, world

BOUND_SECONDS = 3_600.0


async def play(
    scenario: Scenario, choice: Choice, servers: Servers, folder: Path, *, seed: str, rate: float
) -> Outcome:
    """Never raises for what goes wrong: it is in the outcome."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    found: list[str] = []
    seen = None
    dice = Random(f"{seed} {scenario.name} {choice}")
    await asyncio.to_thread(_all_up, servers)
    async with world(servers, choice, folder, dice, rate) as made:
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                await scenario.run(made)
                found += await made.quiet()
                found += await made.resolve()
                evidence = await made.evidence()
                seen = counts(evidence)
                found += await made.faults(evidence)
        except Exception as error:
            made.tell(f"{type(error).__name__}: {error}")
            found += [*made.fleet.wrong, "".join(traceback.format_exception(error))]
        if made.load.skipped:
            made.notes.append(f"{made.load.skipped} requests were not sent, for want of a connection")
        made.notes.append(
            f"the slowest answer took {made.promises.slowest:.1f} s, {dict(made.promises.refused)} refused"
        )
        return Outcome(str(choice), scenario.name, seen, made.recovered, found, made.notes)


def _all_up(servers: Servers) -> None:
    for server in servers.all:
        server.start()
