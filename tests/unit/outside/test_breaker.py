"""The breaker, and its one probe."""

import asyncio
import logging

import pytest

from adapters.outside.breaker import Breaker
from adapters.outside.deadline import Deadline
from adapters.outside.errors import BreakerOpen, QuotaSpent
from ports.errors import Rejected, Unavailable
from ports.outside import BreakerState, OutsideCounts
from ports.trouble import Cause, Trouble
from tests.clock import ManualClock
from tests.unit.outside.scripted import NoSuchWord, Said, Scripted

AWAY = Unavailable("away")


@pytest.fixture
def ask(clock: ManualClock) -> Scripted:
    return Scripted(clock)


@pytest.fixture
def breaker(ask: Scripted, clock: ManualClock, counts: OutsideCounts) -> Breaker[str, Said]:
    return Breaker(
        ask, api="words", clock=clock, counts=counts, ratio=0.5, failures_least=5, window_seconds=20, open_seconds=2
    )


async def fail(breaker: Breaker[str, Said], ask: Scripted, times: int = 5) -> None:
    ask.errors.extend([AWAY] * times)
    for _ in range(times):
        with pytest.raises(Unavailable):
            await breaker("hour")


async def test_it_opens_when_half_of_the_calls_have_failed(breaker: Breaker[str, Said], ask: Scripted) -> None:
    for _ in range(5):
        await breaker("hour")
    await fail(breaker, ask, 5)

    with pytest.raises(BreakerOpen) as raised:
        await breaker("hour")

    assert len(ask.calls) == 10
    assert raised.value.retry_after == 2


async def test_a_few_failures_among_many_answers_open_nothing(breaker: Breaker[str, Said], ask: Scripted) -> None:
    for _ in range(20):
        await breaker("hour")

    await fail(breaker, ask, 19)

    assert (await breaker("hour")).words == "hour"


async def test_a_few_failures_alone_open_nothing(breaker: Breaker[str, Said], ask: Scripted) -> None:
    await fail(breaker, ask, 4)

    assert (await breaker("hour")).words == "hour"


async def test_failures_of_long_ago_do_not_count(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await fail(breaker, ask, 4)
    await clock.advance(20)
    await fail(breaker, ask, 4)

    assert (await breaker("hour")).words == "hour"


@pytest.mark.parametrize("error", [Rejected("no"), NoSuchWord(), QuotaSpent("used up", retry_after=1), KeyError("bug")])
async def test_only_what_the_provider_could_not_do_counts(
    breaker: Breaker[str, Said], ask: Scripted, error: Exception
) -> None:
    ask.errors.extend([error] * 50)
    for _ in range(50):
        with pytest.raises(type(error)):
            await breaker("hour")

    assert (await breaker("hour")).words == "hour"


async def test_exactly_one_probe_of_a_thousand_gets_through(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await fail(breaker, ask)
    ask.seconds = 1
    await clock.advance(2)

    callers = [asyncio.create_task(breaker("hour")) for _ in range(1000)]
    await clock.advance(1)

    answered = [caller for caller in callers if caller.exception() is None]
    assert len(answered) == 1
    assert len(ask.calls) == 5 + 1
    assert all(isinstance(caller.exception(), BreakerOpen) for caller in callers if caller not in answered)


async def test_a_probe_that_is_answered_closes_it(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock, counts: OutsideCounts
) -> None:
    await fail(breaker, ask)
    await clock.advance(2)

    await breaker("hour")
    await fail(breaker, ask, 4)  # and forgets what was before

    assert (await breaker("hour")).words == "hour"
    assert counts.breakers == {"words": BreakerState.CLOSED}
    assert breaker.trouble is None


async def test_a_probe_that_fails_keeps_it_open_as_long_again(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await fail(breaker, ask)
    await clock.advance(2)
    await fail(breaker, ask, 1)

    await clock.advance(1.9)
    with pytest.raises(BreakerOpen):
        await breaker("hour")
    await clock.advance(0.1)

    assert (await breaker("hour")).words == "hour"


@pytest.mark.parametrize("error", [QuotaSpent("used up", retry_after=1), asyncio.CancelledError()])
async def test_a_probe_that_learnt_nothing_leaves_its_place_to_the_next(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock, error: BaseException
) -> None:
    await fail(breaker, ask)
    await clock.advance(2)
    ask.errors.append(error)
    with pytest.raises(type(error)):
        await breaker("hour")

    assert (await breaker("hour")).words == "hour"


async def test_a_provider_that_never_answers_is_counted_at_the_deadline(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    ask.seconds = 3600
    bounded = Deadline(breaker, clock=clock, seconds=1)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await clock.run(bounded("hour"))
        await clock.settle()

    with pytest.raises(BreakerOpen):
        await breaker("hour")


async def test_callers_that_leave_count_for_nothing(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    ask.seconds = 1
    callers = [asyncio.create_task(Deadline(breaker, clock=clock, seconds=8)("hour")) for _ in range(20)]
    await clock.settle()

    for caller in callers:
        caller.cancel()
    await clock.settle()
    ask.seconds = 0

    assert (await breaker("hour")).words == "hour"


async def test_calls_that_began_before_it_opened_do_not_touch_it_afterwards(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock, counts: OutsideCounts
) -> None:
    ask.seconds = 3
    late = asyncio.create_task(breaker("hour"))
    await clock.settle()
    ask.seconds = 0
    await fail(breaker, ask)
    await clock.advance(2)
    ask.seconds = 3600
    probe = asyncio.create_task(breaker("hour"))

    await clock.advance(1)

    assert late.result().words == "hour"
    assert not probe.done()
    assert counts.breakers == {"words": BreakerState.HALF_OPEN}
    probe.cancel()


async def test_each_change_is_one_line_and_one_count(
    breaker: Breaker[str, Said],
    ask: Scripted,
    clock: ManualClock,
    counts: OutsideCounts,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A probe that fails is no change: it is open as before."""
    with caplog.at_level(logging.INFO, logger="crossdock.outside"):
        await fail(breaker, ask)
        for _ in range(100):
            with pytest.raises(BreakerOpen):
                await breaker("hour")
        await clock.advance(2)
        await fail(breaker, ask, 1)
        await clock.advance(2)
        await breaker("hour")

    assert [record.getMessage() for record in caplog.records] == [
        "words does not answer: its breaker is open, 5 of 5 calls failed",
        "words answers again: its breaker is closed",
    ]
    assert counts.breaker_changes == {
        ("words", BreakerState.OPEN): 2,
        ("words", BreakerState.HALF_OPEN): 2,
        ("words", BreakerState.CLOSED): 1,
    }


async def test_its_trouble_says_since_when_also_after_a_probe_that_failed(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    await fail(breaker, ask)
    await clock.advance(2)
    await fail(breaker, ask, 1)

    assert (
        breaker.trouble
        == "words does not answer: not asked since 2026-11-23T05:00:00.000000Z, but to see if it is back"
    )


async def test_it_costs_the_same_however_many_call(breaker: Breaker[str, Said], clock: ManualClock) -> None:
    for _ in range(1000):
        await breaker("hour")
        await clock.advance(0.5)

    assert len(breaker._window._slices) <= 11


async def test_one_that_nobody_asks_any_more_is_no_trouble_for_ever(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    """As a standby that failed once, while the first was down: who is not asked cannot show that it is well."""
    await fail(breaker, ask)

    await clock.advance(22)
    assert breaker.trouble is not None
    await clock.advance(0.1)

    assert breaker.trouble is None


async def test_it_knows_when_the_next_question_would_be_the_probe(
    breaker: Breaker[str, Said], ask: Scripted, clock: ManualClock
) -> None:
    seen = [(breaker.is_closed, breaker.wants_a_probe)]
    await fail(breaker, ask)
    seen.append((breaker.is_closed, breaker.wants_a_probe))
    await clock.advance(2)
    seen.append((breaker.is_closed, breaker.wants_a_probe))
    ask.seconds = 1
    probe = asyncio.create_task(breaker("hour"))
    await clock.settle()
    seen.append((breaker.is_closed, breaker.wants_a_probe))
    await clock.advance(1)
    seen.append((breaker.is_closed, breaker.wants_a_probe))

    assert probe.done()
    assert seen == [(True, False), (False, False), (False, True), (False, False), (True, False)]


@pytest.mark.parametrize(
    ("cause", "words"), [(Cause.LIMITED, "takes no more calls"), (Cause.OUT_OF_REACH, "does not answer")]
)
async def test_it_tells_one_that_takes_no_more_from_one_that_is_away(
    breaker: Breaker[str, Said], ask: Scripted, cause: Cause, words: str
) -> None:
    """429 without a time is no outage: there is nothing to be looked for in the network."""
    ask.always = Unavailable("429", cause=cause)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await breaker("hour")

    with pytest.raises(BreakerOpen) as raised:
        await breaker("hour")

    assert isinstance(breaker.trouble, Trouble)
    assert breaker.trouble.startswith(f"words {words}: not asked since")
    assert breaker.trouble.cause is raised.value.cause is cause
