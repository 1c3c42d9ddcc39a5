"""What became of the calls is counted."""

import asyncio

import pytest

from adapters.outside.errors import BreakerOpen, Crowded, QuotaSpent
from adapters.outside.watched import Watched
from ports.errors import Rejected, Unavailable
from ports.outside import Outcome, OutsideCounts
from tests.clock import ManualClock
from tests.unit.outside.scripted import NoSuchWord, Scripted, ToldQuota


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Unavailable("away"), Outcome.UNAVAILABLE),
        (Rejected("no"), Outcome.REJECTED),
        (NoSuchWord(), Outcome.REFUSED),
        (QuotaSpent("used up", retry_after=7), Outcome.QUOTA_SPENT),
        (BreakerOpen("left in peace", retry_after=1), Outcome.BREAKER_OPEN),
        (Crowded("too many", retry_after=1), Outcome.CROWDED),
        (asyncio.CancelledError(), Outcome.ABANDONED),
        (KeyError("a bug"), Outcome.FAILED),
    ],
)
async def test_each_end_has_its_name(
    clock: ManualClock, counts: OutsideCounts, error: BaseException, outcome: Outcome
) -> None:
    watched = Watched(Scripted(clock, error), api="words", clock=clock, counts=counts)

    with pytest.raises(type(error)):
        await watched("hour")

    assert counts.calls == {("words", outcome): 1}
    assert ("words" in counts.seconds) is (outcome not in {Outcome.CROWDED, Outcome.QUOTA_SPENT, Outcome.BREAKER_OPEN})


async def test_calls_are_counted_with_their_seconds(clock: ManualClock, counts: OutsideCounts) -> None:
    watched = Watched(Scripted(clock, seconds=0.3), api="words", clock=clock, counts=counts)

    for _ in range(2):
        await clock.run(watched("hour"))

    assert counts.calls == {("words", Outcome.ANSWERED): 2}
    assert counts.seconds["words"].total == pytest.approx(0.6)
    assert sum(counts.seconds["words"].buckets) == 2


async def test_it_knows_that_the_quota_is_spent_until_it_is_not(clock: ManualClock, counts: OutsideCounts) -> None:
    ask = Scripted(clock, QuotaSpent("used up", retry_after=7), QuotaSpent("used up", retry_after=7))
    watched = Watched(ask, api="words", clock=clock, counts=counts)
    with pytest.raises(QuotaSpent):
        await watched("hour")

    assert watched.trouble == "words is not asked: the quota is spent, for 7 seconds more"
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
