"""How late an event loop is: what a timer of 5 ms waits longer than it should."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

STEP = 0.005


@asynccontextmanager
async def written(path: Path) -> AsyncIterator[None]:
    """Measure inside; the file has each moment with its lateness when it ends."""
    late: list[tuple[float, float]] = []

    async def measure() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + STEP
            await asyncio.sleep(STEP)
            late.append((due, loop.time() - due))

    task = asyncio.create_task(measure())
    try:
        yield
    finally:
        task.cancel()
        path.write_text(  # noqa: ASYNC240 - the measuring is over
            json.dumps([(round(due, 3), round(each * 1000, 3)) for due, each in late])
        )


def p99_ms(path: Path, seconds: float) -> float:
    """Of the last ``seconds`` in a file: the load ended when the process was told to."""
    late = json.loads(path.read_text())
    if not late:
        return 0.0
    last = late[-1][0]
    under_load = sorted(each for due, each in late if due > last - seconds)
    return float(under_load[int(len(under_load) * 0.99)])
