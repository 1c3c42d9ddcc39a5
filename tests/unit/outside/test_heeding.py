"""A provider that wants to be left alone is."""

import asyncio
import logging

import pytest

from adapters.outside.breaker import Breaker
from adapters.outside.errors import BreakerOpen, ToldToWait
from adapters.outside.heeding import Heeding
from adapters.outside.retrying import RetryBudget, Retrying
from ports.errors import Rejected, Unavailable
from ports.outside import BreakerState, OutsideCounts
from tests.clock import ManualClock
from tests.unit.outside.scripted import NoSuchWord, Said, Scripted


@pytest.fixture
def ask(clock: ManualClock) -> Scripted:
    return Scripted(clock)


@pytest.fixture
def heeding(ask: Scripted, clock: ManualClock) -> Heeding[str, Said]:
    return Heeding(ask, api="words", clock=clock)


async def told(heeding: Heeding[str, Said], ask: Scripted, seconds: float | None) -> None:
    ask.errors.append(Unavailable("429", retry_after=seconds))
    with pytest.raises(Unavailable, match="429"):
        await heeding("hour")


async def test_what_it_says_to_one_question_holds_for_all_of_them(
    heeding: Heeding[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await told(heeding, ask, 30)
    await clock.advance(10)

    for question in ("hour", "day", "week"):
        with pytest.raises(ToldToWait) as raised:
            await heeding(question)
        assert raised.value.retry_after == 20

    assert len(ask.calls) == 1
    assert heeding.trouble == "words is not asked: it wants to be left alone, for 20 seconds more"
    await clock.advance(20)
    assert (await heeding("day")).words == "day"
    assert heeding.trouble is None


async def test_it_is_not_left_alone_for_longer_than_a_minute(
    heeding: Heeding[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await told(heeding, ask, 86_400)

    await clock.advance(60)

    assert (await heeding("hour")).words == "hour"


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("503"),
        Unavailable("503", retry_after=0),
        Rejected("no"),
        NoSuchWord(),
        BreakerOpen("x", retry_after=9),
    ],
)
async def test_whatever_else_it_says_it_may_be_asked_again_at_once(
    heeding: Heeding[str, Said], ask: Scripted, error: Exception
) -> None:
    ask.errors.append(error)
    with pytest.raises(type(error)):
        await heeding("hour")

    assert (await heeding("hour")).words == "hour"


async def test_of_several_times_the_longest_counts_and_one_line_tells_of_them(
    heeding: Heeding[str, Said], clock: ManualClock, ask: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls that were on their way bring their own."""
    ask.seconds = 1
    ask.errors += [Unavailable("429", retry_after=seconds) for seconds in (9, 30, 5)]

    with caplog.at_level(logging.INFO, logger="crossdock.outside"):
        callers = [asyncio.create_task(heeding("hour")) for _ in range(3)]
        await clock.advance(1)
        await clock.advance(29)
        with pytest.raises(ToldToWait):
            await heeding("hour")

    assert all(isinstance(caller.exception(), Unavailable) for caller in callers)
    assert [record.getMessage() for record in caplog.records] == [
        "words wants to be left alone for 9 seconds and is not asked so long"
    ]


async def test_the_breaker_has_no_probe_before_it_is_over(
    ask: Scripted, clock: ManualClock, counts: OutsideCounts
) -> None:
    heeding = Heeding(Breaker(ask, api="words", clock=clock, counts=counts), api="words", clock=clock)
    for _ in range(4):
        await told(heeding, ask, None)
    await told(heeding, ask, 30)
    assert counts.breakers == {"words": BreakerState.OPEN}

    for _ in range(29):
        await clock.advance(1)
        with pytest.raises(ToldToWait):
            await heeding("hour")

    assert len(ask.calls) == 5
    await clock.advance(1)
    assert (await heeding("hour")).words == "hour"


async def test_who_was_told_tries_again_when_it_is_over(
    heeding: Heeding[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    ask.errors.append(Unavailable("429", retry_after=2))

    answer = await clock.run(Retrying(heeding, clock=clock, attempts=3, budget=RetryBudget(clock))("hour"))

    assert answer.words == "hour"
    assert len(ask.calls) == 2
    assert ask.calls[1] >= 2
