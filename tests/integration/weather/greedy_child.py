"""Asks a provider that would like to fill its memory, in a process of its own; prints what each fault has cost.

``python -m tests.integration.weather.greedy_child QUESTION ORIGIN``: each line read is the name of a fault that the
server shows now, and is answered by a line of JSON.
"""

import asyncio
import json
import resource
import sys
from pathlib import Path

from adapters.clock import SystemClock
from adapters.http_client import HttpClient
from domain.model.weather import City
from ports.errors import PortError
from tests.certificates import NOBODY_TRUSTED
from tests.integration.weather.questions import QUESTIONS

TIMES = 5
FAT = "fat"  # no fault, for who wants to see that it would be seen
FAT_BYTES = 20_000_000

_PROCESS = Path("/proc/self")


def forget_the_most() -> int:
    """Bytes of memory now, from which on the most is counted anew; where that cannot be done, the most ever."""
    if not _PROCESS.exists():
        return most()
    (_PROCESS / "clear_refs").write_text("5")
    return most()


def most() -> int:
    """Bytes of memory that this process had at most. What `getrusage` tells begins on Linux with the parent's."""
    if _PROCESS.exists():
        return int((_PROCESS / "status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def main(name: str, origin: str) -> None:
    clock = SystemClock()
    http = HttpClient(clock, call_seconds=0.5, tls=NOBODY_TRUSTED)
    await http.start()
    for line in sys.stdin:
        before, longest, outcome = forget_the_most(), 0.0, ""
        for _ in range(TIMES):
            began = clock.monotonic()
            try:
                await QUESTIONS[name].build(origin, http, clock).current(City("Berlin"))
                outcome = "answered"
            except PortError as error:
                outcome = type(error).__name__
            longest = max(longest, clock.monotonic() - began)
        if line.strip() == FAT:
            outcome = f"{len(b'x' * int(str(FAT_BYTES)))} bytes"
        print(
            json.dumps({"fault": line.strip(), "outcome": outcome, "seconds": longest, "bytes": most() - before}),
            flush=True,
        )
    await http.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
