"""For what happens at the other end of a socket, or a moment after a call has ended."""

import asyncio
from collections.abc import Callable

SECONDS = 5.0


async def until(is_so: Callable[[], bool], *, seconds: float = SECONDS) -> bool:
    """Give others their turn until something is so; False when it does not become so within these seconds."""
    try:
        async with asyncio.timeout(seconds):
            while not is_so():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True
