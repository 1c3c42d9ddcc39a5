"""New attempts, which never make an outage worse."""

import asyncio

import pytest

from adapters.http_client import retry_after
from adapters.outside.deadline import Deadline
from adapters.outside.errors import BreakerOpen, NotAsked, QuotaSpent
from adapters.outside.retrying import RetryBudget, Retrying
from ports.errors import Rejected, Unavailable
from tests.clock import ManualClock
from tests.unit.outside.scripted import NoSuchWord, Said, Scripted


def retrying(ask: Scripted, clock: ManualClock, *, attempts: int = 3, most: float = 10) -> Deadline[str, Said]:
    budget = RetryBudget(clock, most=most)
    return Deadline(Retrying(ask, clock=clock, attempts=attempts, budget=budget), clock=clock, seconds=8)


async def test_what_is_unavailable_is_tried_again(clock: ManualClock) -> None:
    ask = Scripted(clock, Unavailable("away"), Unavailable("away"))

    answer = await clock.run(retrying(ask, clock)("hour"))

    assert answer.words == "hour"
    assert len(ask.calls) == 3


@pytest.mark.parametrize(
    "error",
    [
        Rejected("no"),
        NoSuchWord(),
        KeyError("a bug"),
        BreakerOpen("left in peace", retry_after=1),
        QuotaSpent("used up", retry_after=1),
    ],
)
async def test_nothing_else_is_tried_again_least_of_all_what_we_held_back(clock: ManualClock, error: Exception) -> None:
    ask = Scripted(clock, error)

    with pytest.raises(type(error)):
        await clock.run(retrying(ask, clock)("hour"))

    assert len(ask.calls) == 1


@pytest.mark.parametrize("header", ["3", "Mon, 23 Nov 2026 05:00:03 GMT"])
async def test_retry_after_is_honoured_in_both_forms(clock: ManualClock, header: str) -> None:
    """The manual clock stands at 05:00:00."""
    ask = Scripted(clock, Unavailable("busy", retry_after=retry_after(header, clock.now())))

    await clock.run(retrying(ask, clock)("hour"))

    assert 3 <= ask.calls[1] - ask.calls[0] < 4


@pytest.mark.parametrize("header", ["86400", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_whoever_asks_for_too_much_patience_is_not_waited_for(clock: ManualClock, header: str) -> None:
    ask = Scripted(clock, Unavailable("busy", retry_after=retry_after(header, clock.now())))

    with pytest.raises(Unavailable) as raised:
        await clock.run(retrying(ask, clock)("hour"))

    assert raised.value.retry_after == 60
    assert clock.monotonic() == 0


async def test_an_outage_is_not_multiplied(clock: ManualClock) -> None:
    """A thousand questions in a minute of outage make a tenth more calls, and a few beyond."""
    ask = Scripted(clock)
    ask.always = Unavailable("away")
    persistent = retrying(ask, clock)

    async def ask_in_a_row() -> None:
        for _ in range(1000):
            with pytest.raises(Unavailable):
                await persistent("hour")
            await clock.sleep(0.06)

    await clock.run(ask_in_a_row())

    assert 1000 + 100 <= len(ask.calls) <= 1000 + 1000 * 0.1 + clock.monotonic() * 0.1 + 10


async def test_a_thousand_at_once_share_one_budget(clock: ManualClock) -> None:
    ask = Scripted(clock, seconds=0.1)
    ask.always = Unavailable("away")
    persistent = retrying(ask, clock)

    askers = [asyncio.create_task(persistent("hour")) for _ in range(1000)]
    await clock.advance(8)

    assert all(isinstance(asker.exception(), Unavailable) for asker in askers)
    assert len(ask.calls) <= 1000 + 10 + 1


async def test_a_little_traffic_has_all_its_attempts(clock: ManualClock) -> None:
    ask = Scripted(clock)
    ask.always = Unavailable("away")
    persistent = retrying(ask, clock)

    async def now_and_then() -> None:
        for _ in range(100):
            with pytest.raises(Unavailable):
                await persistent("hour")
            await clock.sleep(20)

    await clock.run(now_and_then())

    assert len(ask.calls) == 300


async def test_the_two_that_are_held_back_say_so_and_when() -> None:
    for error in (BreakerOpen("open", retry_after=2), QuotaSpent("spent", retry_after=2)):
        assert isinstance(error, NotAsked)
        assert isinstance(error, Unavailable)
        assert error.retry_after == 2
