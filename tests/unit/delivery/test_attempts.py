import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.delivery.attempts import Attempts, Outage


@given(attempts=st.integers(1, 1_000), seed=st.integers())
def test_a_delay_doubles_with_each_attempt_within_a_quarter_and_a_minute(attempts: int, seed: int) -> None:
    delay = Attempts(delay=1.0, dice=Random(seed)).delay_after(attempts)

    planned = min(2.0 ** (attempts - 1), 60.0)
    assert 0.75 * planned <= delay <= min(1.25 * planned, 60.0)


def test_delays_grow_until_they_are_a_minute() -> None:
    attempts = Attempts(delay=1.0)

    delays = [attempts.delay_after(number) for number in range(1, 8)]

    assert delays == sorted(delays)


def test_delays_are_jittered_so_that_not_all_come_at_once() -> None:
    attempts = Attempts(delay=1.0)

    assert len({attempts.delay_after(3) for _ in range(20)}) > 1


@pytest.mark.parametrize("retry_after", [None, 0, -1, 3_600, math.inf, math.nan])
def test_an_outage_never_makes_anyone_wait_longer_than_ten_seconds(retry_after: float | None) -> None:
    outage = Outage()

    delays = [outage.next_delay(retry_after) for _ in range(2_000)]

    assert all(0 < delay <= 10 for delay in delays)


def test_an_outage_backs_off_and_begins_anew_when_it_is_over() -> None:
    outage = Outage()
    delays = [outage.next_delay() for _ in range(8)]

    outage.over()

    assert delays == sorted(delays)
    assert delays[0] <= 0.1
    assert delays[-1] >= 7.5
    assert outage.next_delay() <= 0.1


def test_what_the_other_side_asks_for_is_waited() -> None:
    assert Outage().next_delay(8) >= 6
