"""The quota of one process is exact."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.moving_window import EXACT_MOST, MovingWindow
from adapters.quota.memory import MemoryQuota
from ports.quota import Quota
from tests.clock import ManualClock
from tests.contracts.quota import PassTime, QuotaContract

TICK = 1 / 64  # times of the tests are whole ticks, so that sums of them are exact


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class TestMemoryQuota(QuotaContract):
    @pytest.fixture
    def quota(self, clock: ManualClock) -> Quota:
        return MemoryQuota(self.COUNT, self.SECONDS, clock=clock)

    @pytest.fixture
    def pass_time(self, clock: ManualClock) -> PassTime:
        return clock.advance


async def test_a_wall_clock_that_jumps_changes_nothing(clock: ManualClock) -> None:
    quota = MemoryQuota(1, 60, clock=clock)
    await quota.take()

    clock.jump(3600)

    assert await quota.take() == 60


pauses = st.lists(st.integers(0, 40), min_size=1, max_size=200)


@given(count=st.integers(1, 8), window=st.integers(1, 64), pauses=pauses)
def test_in_no_window_is_more_granted_and_nothing_is_refused_without_need(
    count: int, window: int, pauses: list[int]
) -> None:
    """Against the definition itself: all grants are kept, and each answer is compared with them."""
    moving, seconds, now, granted = MovingWindow(count, window * TICK), window * TICK, 0.0, list[float]()
    for pause in pauses:
        now += pause * TICK
        counting = [at for at in granted if at > now - seconds]

        wait = moving.wait(now)

        assert moving.used(now) == len(counting)
        assert (wait == 0) == (len(counting) < count)
        if wait == 0:
            granted.append(now)
            moving.add(now)
        else:
            assert wait == counting[-count] + seconds - now
    for at in granted:
        assert sum(at <= other < at + seconds for other in granted) <= count


@given(pauses=pauses, burst=st.integers(1, 700))
def test_a_large_quota_is_kept_too_and_its_memory_is_bounded(pauses: list[int], burst: int) -> None:
    count, seconds, now = EXACT_MOST + 500, 10.0, 0.0
    moving, granted = MovingWindow(count, seconds), list[tuple[float, int]]()
    for pause in pauses:
        now += pause * TICK
        number = 0
        while number < burst and moving.wait(now) == 0:
            moving.add(now)
            number += 1
        granted.append((now, number))
        if number < burst:
            counting = sum(many for at, many in granted if at > now - seconds - seconds / EXACT_MOST)
            assert counting >= count, "refused though there was room even by the coarse count"
        assert len(moving._grants) <= EXACT_MOST + 2
    for at, _ in granted:
        assert sum(many for other, many in granted if at <= other < at + seconds) <= count


@given(share=st.integers(1, 5), used=st.integers(0, 12))
def test_less_than_all_may_be_asked_for(share: int, used: int) -> None:
    moving = MovingWindow(12, 60)
    for number in range(used):
        moving.add(float(number))

    wait = moving.wait(20.0, share)

    assert wait == (0 if used < share else used - share + 60 - 20.0)
    assert math.isclose(moving.wait(20.0), 0.0 if used < 12 else 40.0)
