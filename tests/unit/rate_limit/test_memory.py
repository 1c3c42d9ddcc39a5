"""The rate limit of one process."""

import pytest

from adapters.caller_windows import EXACT_MOST, CallerWindows
from adapters.rate_limit.memory import MemoryRateLimit
from ports.rate_limit import RateLimit
from tests.clock import ManualClock
from tests.contracts.rate_limit import PassTime, RateLimitContract


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class TestMemoryRateLimit(RateLimitContract):
    @pytest.fixture
    def limit(self, clock: ManualClock) -> RateLimit:
        return MemoryRateLimit(self.COUNT, self.SECONDS, clock=clock)

    @pytest.fixture
    def pass_time(self, clock: ManualClock) -> PassTime:
        return clock.advance


async def test_callers_without_end_take_no_memory_without_end(clock: ManualClock) -> None:
    """Those are forgotten that asked longest ago; whoever goes on asking is not."""
    limit = MemoryRateLimit(1, 60, clock=clock, callers=10)
    await limit.take("the first")
    for number in range(1_000):
        assert (await limit.take(f"somebody {number}")).wait == 0
        if number % 5 == 0:
            assert (await limit.take("the first")).wait > 0

    assert len(limit._windows) == 10


async def test_a_caller_takes_little_memory_however_much_it_may_ask(clock: ManualClock) -> None:
    windows = CallerWindows(100_000, 60)
    for _ in range(100_000):
        windows.take("ann", clock.monotonic())
        await clock.advance(0.0005)

    assert len(windows.of("ann")._grants) <= EXACT_MOST + 2


async def test_who_asks_evenly_and_as_often_as_it_may_is_never_refused(clock: ManualClock) -> None:
    limit = MemoryRateLimit(100, 1, clock=clock)

    for _ in range(1_000):
        assert (await limit.take("ann")).wait == 0
        await clock.advance(0.0101)
