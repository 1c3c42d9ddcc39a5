"""Waits for what takes as long as a limit says, without the wait, and without a limit that a slow machine misses."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

Outcome = TypeVar("Outcome")

STEP: Final = 0.02  # seconds that one round of the event loop lasts, for its timers
ROUNDS_MOST: Final = 200_000


async def hurried(work: Awaitable[Outcome]) -> Outcome:
    """What comes of it on an event loop whose clock runs ahead: timers end early, and all else gets its rounds.

    The clock stays ahead afterwards, for it never goes back.
    """
    loop = asyncio.get_running_loop()
    behind, ahead = loop.time, 0.0
    loop.time = lambda: behind() + ahead  # type: ignore[method-assign]
    doing = asyncio.ensure_future(work)
    for _ in range(ROUNDS_MOST):
        if doing.done():
            return await doing
        ahead += STEP
        await asyncio.sleep(0)
    doing.cancel()
    raise AssertionError(f"it does not end within {ROUNDS_MOST * STEP:.0f} s of the event loop's clock")
