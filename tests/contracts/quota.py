"""What every quota promises."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from ports.quota import Quota

PassTime = Callable[[float], Awaitable[None]]


class QuotaContract:
    """Wants two fixtures: ``quota``, of `COUNT` in any `SECONDS`, unused; and ``pass_time``, as for caches."""

    COUNT: ClassVar[int] = 5
    SECONDS: ClassVar[float] = 1.0

    @pytest.fixture
    def quota(self) -> Quota:
        """Nothing of it is used."""
        raise NotImplementedError

    async def spend(self, quota: Quota, number: int) -> list[float]:
        """The answers to so many at once."""
        return list(await asyncio.gather(*(quota.take() for _ in range(number))))

    async def test_so_many_are_granted_and_no_more(self, quota: Quota) -> None:
        waits = [await quota.take() for _ in range(self.COUNT + 3)]

        assert waits[: self.COUNT] == [0] * self.COUNT
        assert all(0 < wait <= self.SECONDS for wait in waits[self.COUNT :])

    async def test_of_many_at_once_no_more_are_granted(self, quota: Quota) -> None:
        waits = await self.spend(quota, 100)

        assert waits.count(0) == self.COUNT

    async def test_what_was_refused_is_not_counted(self, quota: Quota, pass_time: PassTime) -> None:
        await self.spend(quota, 50)

        await pass_time(self.SECONDS)

        assert (await self.spend(quota, 50)).count(0) == self.COUNT

    async def test_it_says_how_many_are_left_and_looking_takes_none(self, quota: Quota) -> None:
        before = [await quota.left() for _ in range(3)]
        await quota.take()
        after = await quota.left()
        await self.spend(quota, self.COUNT)

        assert before == [self.COUNT] * 3
        assert after == self.COUNT - 1
        assert await quota.left() == 0

    async def test_after_the_wait_that_it_names_there_is_room_for_one(self, quota: Quota, pass_time: PassTime) -> None:
        await self.spend(quota, self.COUNT)
        wait = await quota.take()

        await pass_time(wait)

        assert await quota.take() == 0

    async def test_the_window_moves_and_does_not_begin_anew(self, quota: Quota, pass_time: PassTime) -> None:
        """Else twice as much would be granted, at the end of one and the start of the next."""
        await pass_time(self.SECONDS * 0.7)
        first = await self.spend(quota, self.COUNT)

        await pass_time(self.SECONDS * 0.5)
        second = await self.spend(quota, self.COUNT)
        await pass_time(self.SECONDS * 0.5)
        third = await self.spend(quota, self.COUNT)

        assert first == [0] * self.COUNT
        assert 0 not in second
        assert third == [0] * self.COUNT

    async def test_each_grant_is_free_again_at_its_own_time(self, quota: Quota, pass_time: PassTime) -> None:
        await quota.take()
        await pass_time(self.SECONDS * 0.6)
        await self.spend(quota, self.COUNT - 1)

        await pass_time(self.SECONDS * 0.45)

        assert (await self.spend(quota, self.COUNT)).count(0) == 1

    async def test_who_leaves_in_the_middle_does_no_harm(self, quota: Quota, pass_time: PassTime) -> None:
        leaving = [asyncio.create_task(quota.take()) for _ in range(20)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        outcomes = await asyncio.gather(*leaving, return_exceptions=True)

        granted = outcomes.count(0) + (await self.spend(quota, 20)).count(0)
        await pass_time(self.SECONDS)

        assert granted <= self.COUNT
        assert (await self.spend(quota, 20)).count(0) == self.COUNT
