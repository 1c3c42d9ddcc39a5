"""Quotas that lie: each is an honest one that breaks one promise."""

import asyncio

from ports.clock import Clock
from ports.quota import Quota


class LyingQuota(Quota):
    """Passes everything on to an honest quota; each liar changes one thing."""

    def __init__(self, honest: Quota, clock: Clock, count: int, seconds: float) -> None:
        self.honest = honest
        self.clock = clock
        self.count = count
        self.seconds = seconds

    async def take(self) -> float:
        return await self.honest.take()

    async def left(self) -> int:
        return await self.honest.left()


class GrantsOneMore(LyingQuota):
    """Counts from nought to the last."""

    more = 1

    async def take(self) -> float:
        wait = await super().take()
        if wait and self.more:
            self.more = 0
            return 0.0
        return wait


class LooksBeforeItCounts(LyingQuota):
    """And lets others look in between."""

    async def take(self) -> float:
        if await self.left() == 0:
            return await super().take()
        await asyncio.sleep(0)
        await super().take()
        return 0.0


class CountsWhatItRefuses(LyingQuota):
    """Whoever asks too often gets nothing any more."""

    refused = 0

    async def take(self) -> float:
        wait = await super().take()
        self.refused += wait > 0
        return self.seconds if self.refused > self.count else wait


class TakesOneToLook(LyingQuota):
    """Knows what is left by taking one."""

    async def left(self) -> int:
        left = await super().left()
        await self.take()
        return left


class NamesTooShortAWait(LyingQuota):
    """Half of it."""

    async def take(self) -> float:
        return await super().take() / 2


class BeginsAnew(LyingQuota):
    """Has windows that begin at whole multiples of their length."""

    def __init__(self, honest: Quota, clock: Clock, count: int, seconds: float) -> None:
        super().__init__(honest, clock, count, seconds)
        self.used: dict[int, int] = {}

    async def take(self) -> float:
        window = int(self.clock.monotonic() // self.seconds)
        if self.used.get(window, 0) >= self.count:
            return (window + 1) * self.seconds - self.clock.monotonic()
        self.used[window] = self.used.get(window, 0) + 1
        return 0.0

    async def left(self) -> int:
        return self.count - self.used.get(int(self.clock.monotonic() // self.seconds), 0)


class FreesAllAtOnce(LyingQuota):
    """Starts its window with the first grant, and a new one when that is over."""

    began: float | None = None
    used = 0

    async def take(self) -> float:
        now = self.clock.monotonic()
        if self.began is None or now >= self.began + self.seconds:
            self.began, self.used = now, 0
        if self.used >= self.count:
            return self.began + self.seconds - now
        self.used += 1
        return 0.0


class KeepsTheLockOfWhoLeaves(LyingQuota):
    """Grants nothing any more, once a caller has left in the middle."""

    locked = False

    async def take(self) -> float:
        if self.locked:
            return self.seconds
        self.locked = True
        await asyncio.sleep(0)
        self.locked = False
        return await super().take()
