"""What every rate limit promises."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from ports.rate_limit import RateLimit

PassTime = Callable[[float], Awaitable[None]]


class RateLimitContract:
    """Wants two fixtures: ``limit``, of `COUNT` in any `SECONDS`, unused; and ``pass_time``, as for caches."""

    COUNT: ClassVar[int] = 5
    SECONDS: ClassVar[int] = 1

    @pytest.fixture
    def limit(self) -> RateLimit:
        """Nobody has asked yet."""
        raise NotImplementedError

    async def spend(self, limit: RateLimit, number: int, caller: str = "ann") -> int:
        """How many of so many at once are granted."""
        standings = await asyncio.gather(*(limit.take(caller) for _ in range(number)))
        return sum(standing.wait == 0 for standing in standings)

    async def test_it_says_what_it_is(self, limit: RateLimit) -> None:
        assert (limit.count, limit.seconds) == (self.COUNT, self.SECONDS)

    async def test_so_many_are_granted_and_each_is_told_what_is_left(self, limit: RateLimit) -> None:
        granted = [await limit.take("ann") for _ in range(self.COUNT)]
        refused = [await limit.take("ann") for _ in range(3)]

        assert [standing.wait for standing in granted] == [0] * self.COUNT
        assert [standing.left for standing in granted] == list(reversed(range(self.COUNT)))
        assert all(0 < standing.wait <= self.SECONDS for standing in refused)
        assert all(0 < standing.more <= self.SECONDS for standing in granted + refused)
        assert [standing.left for standing in refused] == [0] * 3

    async def test_of_many_at_once_no_more_are_granted(self, limit: RateLimit) -> None:
        assert await self.spend(limit, 100) == self.COUNT

    async def test_nobody_pays_for_another(self, limit: RateLimit) -> None:
        await self.spend(limit, 20, "ann")

        assert await self.spend(limit, 20, "bob") == self.COUNT
        assert await self.spend(limit, 20, "Zoë \N{GRINNING FACE} \udcff" + "x" * 5000) == self.COUNT

    async def test_what_was_refused_is_not_counted(self, limit: RateLimit, pass_time: PassTime) -> None:
        await self.spend(limit, 50)

        await pass_time(self.SECONDS)

        assert await self.spend(limit, 50) == self.COUNT

    async def test_after_the_wait_that_it_names_there_is_room_for_one(
        self, limit: RateLimit, pass_time: PassTime
    ) -> None:
        await self.spend(limit, self.COUNT)
        refused = await limit.take("ann")

        await pass_time(refused.wait)

        assert (await limit.take("ann")).wait == 0

    async def test_the_window_moves_and_does_not_begin_anew(self, limit: RateLimit, pass_time: PassTime) -> None:
        """Else twice as much would be granted, at the end of one and the start of the next."""
        await pass_time(self.SECONDS * 0.7)
        first = await self.spend(limit, self.COUNT)

        await pass_time(self.SECONDS * 0.5)
        second = await self.spend(limit, self.COUNT)
        await pass_time(self.SECONDS * 0.55)

        assert (first, second) == (self.COUNT, 0)
        assert await self.spend(limit, self.COUNT) == self.COUNT
