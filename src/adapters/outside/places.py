"""So many at once, and the others one after the other."""

import asyncio
from collections import deque

from ports.clock import Clock


class Places:
    """A number of places; who came first is the first to get one that comes free."""

    def __init__(self, number: int, *, clock: Clock) -> None:
        self._free = number
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, *, seconds: float) -> bool:
        """Whether there was a place within ``seconds``; who got it gives it back with `leave`."""
        if self._free:
            self._free -= 1
            return True
        if seconds <= 0:
            return False
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        over = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({turn, over}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if turn.done():
                self.leave()
            raise
        finally:
            over.cancel()
            if not turn.done():
                self._waiting.remove(turn)
        return turn.done()

    def leave(self) -> None:
        """Give a place back."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1
