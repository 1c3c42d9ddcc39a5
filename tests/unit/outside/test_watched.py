"""What became of the calls is counted."""

import asyncio
import logging

import pytest

from adapters.outside.errors import BreakerOpen, Crowded, QuotaSpent, ToldToWait
from adapters.outside.watched import Watched
from domain.model.errors import WeatherNotConfigured
from ports.errors import Rejected, Unavailable
from ports.outside import HELD_BACK, Outcome, OutsideCounts
from ports.trouble import Cause, Trouble
from tests.clock import ManualClock
from tests.unit.outside.scripted import NoSuchWord, Said, Scripted, ToldQuota


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Unavailable("away"), Outcome.UNAVAILABLE),
        (Rejected("no"), Outcome.REJECTED),
        (NoSuchWord(), Outcome.REFUSED),
        (QuotaSpent("used up", retry_after=7), Outcome.QUOTA_SPENT),
        (BreakerOpen("left in peace", retry_after=1), Outcome.BREAKER_OPEN),
        (Crowded("too many", retry_after=1), Outcome.CROWDED),
        (ToldToWait("later", retry_after=1), Outcome.TOLD_TO_WAIT),
        (WeatherNotConfigured(), Outcome.NOT_CONFIGURED),
        (asyncio.CancelledError(), Outcome.ABANDONED),
        (KeyError("a bug"), Outcome.FAILED),
    ],
)
async def test_each_end_has_its_name(
    clock: ManualClock, counts: OutsideCounts, error: BaseException, outcome: Outcome
) -> None:
    watched = Watched(
        Scripted(clock, error), api="words", clock=clock, counts=counts, not_configured=(WeatherNotConfigured,)
    )

    with pytest.raises(type(error)):
        await watched("hour")

    assert counts.calls == {("words", outcome): 1}
    assert ("words" in counts.seconds) is (outcome not in HELD_BACK)


async def test_calls_are_counted_with_their_seconds(clock: ManualClock, counts: OutsideCounts) -> None:
    watched = Watched(Scripted(clock, seconds=0.3), api="words", clock=clock, counts=counts)

    for _ in range(2):
        await clock.run(watched("hour"))

    assert counts.calls == {("words", Outcome.ANSWERED): 2}
    assert counts.seconds["words"].total == pytest.approx(0.6)
    assert sum(counts.seconds["words"].buckets) == 2


async def test_it_knows_that_the_quota_is_spent_until_it_is_not(clock: ManualClock, counts: OutsideCounts) -> None:
    spent = QuotaSpent("words is not asked: the quota is spent", retry_after=7)
    ask = Scripted(clock, spent, spent)
    watched = Watched(ask, api="words", clock=clock, counts=counts)
    with pytest.raises(QuotaSpent):
        await watched("hour")

    assert watched.trouble == "words is not asked: the quota is spent, for 7 seconds more"
    assert isinstance(watched.trouble, Trouble)
    assert watched.trouble.cause is Cause.LIMITED
    await clock.advance(7)
    assert watched.trouble is None

    with pytest.raises(QuotaSpent):
        await watched("hour")
    assert watched.trouble is not None
    await watched("hour")
    assert watched.trouble is None


async def test_the_quota_that_is_left_is_told_by_api(counts: OutsideCounts) -> None:
    quota = counts.quotas["words"] = ToldQuota()
    await quota.take()

    assert await counts.quota_left() == {"words": 59}


@pytest.mark.parametrize("good", [None, NoSuchWord()])
async def test_answers_of_no_use_are_a_trouble_and_a_line_until_the_next_good_one(
    clock: ManualClock, counts: OutsideCounts, caplog: pytest.LogCaptureFixture, good: Exception | None
) -> None:
    """One line when it begins, however many ask, and one when it is over; what may pass says nothing of it."""
    ask = Scripted(clock, *[Rejected("it refuses our key")] * 50, Rejected("not JSON"), Unavailable("503"))
    watched = Watched(ask, api="words", clock=clock, counts=counts)

    with caplog.at_level(logging.INFO, logger="crossdock.outside"):
        for _ in range(52):
            with pytest.raises((Rejected, Unavailable)):
                await watched("hour")
            await clock.advance(1)
        assert watched.trouble == "words gives answers of no use since 2026-11-23T05:00:00.000000Z: not JSON"
        if good is None:
            await watched("hour")
        else:
            ask.errors.append(good)
            with pytest.raises(type(good)):
                await watched("hour")

    assert watched.trouble is None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "words gives answers of no use: it refuses our key"),
        ("INFO", "words gives answers of use again"),
    ]


async def test_one_question_of_many_says_nothing_of_the_provider(
    clock: ManualClock, counts: OutsideCounts, caplog: pytest.LogCaptureFixture
) -> None:
    """Or readiness and log would go back and forth with each who asks for that one."""
    ask = Scripted(clock)
    watched = Watched(ask, api="words", clock=clock, counts=counts)
    await watched("hour")

    with caplog.at_level(logging.INFO, logger="crossdock.outside"):
        for _ in range(5):
            await clock.advance(1)
            for _ in range(2):
                await _fails(watched, ask, "minute")
            assert watched.trouble is None
            await watched("hour")

    assert caplog.records == []


async def test_two_different_questions_in_a_row_are_the_provider(clock: ManualClock, counts: OutsideCounts) -> None:
    ask = Scripted(clock)
    watched = Watched(ask, api="words", clock=clock, counts=counts)
    await watched("hour")

    await _fails(watched, ask, "minute")
    await _fails(watched, ask, "second")

    assert watched.trouble is not None


async def test_one_question_is_the_provider_when_nothing_good_comes_for_a_minute(
    clock: ManualClock, counts: OutsideCounts
) -> None:
    """Where one thing alone is ever asked, a key that is revoked must be told as well."""
    ask = Scripted(clock)
    watched = Watched(ask, api="words", clock=clock, counts=counts)
    await watched("hour")

    await _fails(watched, ask, "hour")
    await clock.advance(60)
    await _fails(watched, ask, "hour")

    assert watched.trouble is not None


async def _fails(watched: Watched[str, Said], ask: Scripted, question: str) -> None:
    ask.errors.append(Rejected("not JSON"))
    with pytest.raises(Rejected):
        await watched(question)
