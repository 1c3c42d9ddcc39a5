"""A rate limit that all processes share, counted by Redis."""

from hashlib import blake2b

from adapters.caller_windows import CALLERS_MOST, EXACT_MOST, CallerWindows
from adapters.redis_client import RedisClient
from adapters.redis_window import RedisWindow
from ports.clock import Clock
from ports.errors import PortError
from ports.rate_limit import RateLimit, Standing


class RedisRateLimit(RateLimit):
    """``count`` for each caller in any ``seconds``, of all processes together, by the clock of Redis.

    What this process has granted it counts by itself all along: a caller that has used everything up here is refused
    without asking, and while Redis is away each process grants by its own count. The client is started by whoever else
    has it.
    """

    def __init__(
        self,
        client: RedisClient,
        prefix: str,
        count: int,
        seconds: int,
        *,
        clock: Clock,
        callers: int = CALLERS_MOST,
    ) -> None:
        self.count = count
        self.seconds = seconds
        self._prefix = prefix
        self._clock = clock
        self._shared = RedisWindow(client, count, seconds, exact_most=EXACT_MOST)
        self._windows = CallerWindows(count, seconds, callers=callers)

    async def take(self, caller: str) -> Standing:
        own = self._windows.of(caller)
        now = self._clock.monotonic()
        if wait := own.wait(now):
            return Standing(wait, 0, wait)
        try:
            found = await self._shared.ask(self._key(caller), take=True)
        except PortError:
            return self._windows.take(caller, self._clock.monotonic())
        if not found.wait:
            own.add(self._clock.monotonic())
        return Standing(found.wait, max(0, found.left), found.more)

    def _key(self, caller: str) -> str:
        # A digest: of one length, and Redis need not know who calls.
        return self._prefix + blake2b(caller.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
