"""HTTP under a quota."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import pytest
from pydantic import SecretStr

from adapters.http_client import Answer
from adapters.outside.breaker import Breaker
from adapters.outside.deadline import Deadline, ended_within
from adapters.outside.errors import Crowded, NotAsked, QuotaSpent
from adapters.outside.metered import Metered
from ports.errors import Unavailable
from ports.outside import BreakerState, OutsideCounts
from ports.quota import Quota
from tests.clock import ManualClock
from tests.unit.outside.scripted import ToldQuota

URL = "https://words.example/"


class CountingHttp:
    """Answers nothing to everything, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, str], Mapping[str, SecretStr] | None, Collection[int]]] = []

    async def get(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        secrets: Mapping[str, SecretStr] | None = None,
        expect: Collection[int] = (200,),
        before_sending: Callable[[], Awaitable[None]] | None = None,  # noqa: ARG002 - nothing is late here
    ) -> Answer:
        self.asked.append((url, parameters, secrets, expect))
        return Answer("words.example", 200, b"{}")


class SlowHttp(CountingHttp):
    """Takes ``seconds`` for each answer, and keeps when it was asked."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        super().__init__()
        self.at: list[float] = []
        self.seconds = seconds
        self._clock = clock

    async def get(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        secrets: Mapping[str, SecretStr] | None = None,
        expect: Collection[int] = (200,),
        before_sending: Callable[[], Awaitable[None]] | None = None,  # noqa: ARG002 - nothing is late here
    ) -> Answer:
        self.at.append(self._clock.monotonic())
        await self._clock.sleep(self.seconds)
        return await super().get(url, parameters, secrets=secrets, expect=expect)


class FixedWindow(Quota):
    """``count`` in each second of the clock; enough to see who waits for whom."""

    def __init__(self, clock: ManualClock, count: int) -> None:
        self._clock = clock
        self._count = count
        self.granted: dict[int, int] = {}

    async def take(self) -> float:
        second = int(self._clock.monotonic())
        if self.granted.get(second, 0) >= self._count:
            return second + 1 - self._clock.monotonic()
        self.granted[second] = self.granted.get(second, 0) + 1
        return 0.0

    async def left(self) -> int:
        return self._count


async def test_what_is_granted_goes_on_as_it_was_asked(clock: ManualClock) -> None:
    http = CountingHttp()
    key = {"key": SecretStr("secret")}

    await Metered(http, ToldQuota(), api="words", clock=clock).get(URL, {"q": "hour"}, secrets=key, expect=(200, 404))

    assert http.asked == [(URL, {"q": "hour"}, key, (200, 404))]


async def test_a_place_that_comes_free_soon_is_waited_for(clock: ManualClock) -> None:
    http = CountingHttp()
    metered = Metered(http, ToldQuota(0.4, 0.5), api="words", clock=clock)

    await clock.run(metered.get(URL, {}))

    assert clock.monotonic() == pytest.approx(0.9)
    assert len(http.asked) == 1


async def test_one_that_does_not_is_refused_at_once_with_the_time(clock: ManualClock) -> None:
    http = CountingHttp()

    with pytest.raises(QuotaSpent, match="words") as raised:
        await Metered(http, ToldQuota(42), api="words", clock=clock).get(URL, {})

    assert raised.value.retry_after == 42
    assert http.asked == []
    assert clock.monotonic() == 0


async def test_nobody_waits_past_the_deadline_of_the_question(clock: ManualClock) -> None:
    metered = Metered(CountingHttp(), ToldQuota(0.9), api="words", clock=clock)

    async def ask(_: str) -> Answer:
        return await metered.get(URL, {})

    with pytest.raises(QuotaSpent):
        await clock.run(Deadline(ask, clock=clock, seconds=0.5)("hour"))

    assert clock.monotonic() == 0


class FarAway(CountingHttp):
    """Takes ``seconds`` for a connection."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds

    async def get(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        secrets: Mapping[str, SecretStr] | None = None,
        expect: Collection[int] = (200,),
        before_sending: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer:
        await self._clock.sleep(self._seconds)
        if before_sending is not None:
            await before_sending()
        return await super().get(url, parameters, secrets=secrets, expect=expect)


@pytest.mark.parametrize(("seconds", "granted"), [(0.2, 1), (1.9, 2)])
async def test_what_is_late_to_leave_counts_when_it_leaves_as_well(
    clock: ManualClock, seconds: float, granted: int
) -> None:
    http, quota = FarAway(clock, seconds), ToldQuota()

    await clock.run(Metered(http, quota, api="words", clock=clock).get(URL, {}))

    assert (len(http.asked), quota.granted) == (1, granted)


async def test_what_is_late_and_finds_nothing_left_does_not_leave(clock: ManualClock) -> None:
    http = FarAway(clock, 1.9)

    with pytest.raises(QuotaSpent):
        await clock.run(Metered(http, ToldQuota(0, 42), api="words", clock=clock).get(URL, {}))

    assert http.asked == []


async def test_why_the_quota_grants_nothing_is_told(clock: ManualClock) -> None:
    class Cut(ToldQuota):
        trouble = "what counts it is away"

    with pytest.raises(QuotaSpent, match=r"^words is not asked: what counts it is away$"):
        await Metered(CountingHttp(), Cut(42), api="words", clock=clock).get(URL, {})


async def test_many_at_once_never_pass_the_quota(clock: ManualClock) -> None:
    http, quota = CountingHttp(), FixedWindow(clock, 10)
    metered = Metered(http, quota, api="words", clock=clock)

    callers = [asyncio.create_task(metered.get(URL, {})) for _ in range(1000)]
    await clock.advance(10)

    refused = [caller.exception() for caller in callers if caller.exception() is not None]
    assert max(quota.granted.values()) == 10
    assert len(http.asked) == 20  # of the first second, and of the one that was waited for
    assert all(isinstance(error, QuotaSpent) and isinstance(error, Unavailable) for error in refused)
    assert len(refused) == 980


# Places


async def test_so_many_are_on_their_way_at_once_and_the_next_go_when_one_is_back(clock: ManualClock) -> None:
    http = SlowHttp(clock, 0.6)
    quota = ToldQuota()
    metered = Metered(http, quota, api="words", clock=clock, places=3)

    callers = [asyncio.create_task(metered.get(URL, {})) for _ in range(9)]
    await clock.advance(0.5)

    assert len(http.at) == quota.granted == 3  # a grant that could not be used would be used later, with others
    await clock.advance(1.5)
    assert http.at == pytest.approx([0] * 3 + [0.6] * 3)
    assert [type(caller.exception()) for caller in callers] == [type(None)] * 6 + [Crowded] * 3
    assert quota.granted == 6


async def test_whoever_finds_no_place_in_time_is_told_when_to_come_back(clock: ManualClock) -> None:
    metered = Metered(SlowHttp(clock, 3600), ToldQuota(), api="words", clock=clock, places=1)
    first = asyncio.create_task(metered.get(URL, {}))
    await clock.settle()

    with pytest.raises(Crowded, match="words") as raised:
        await clock.run(metered.get(URL, {}))

    assert isinstance(raised.value, NotAsked)
    assert raised.value.retry_after == 1
    assert clock.monotonic() == pytest.approx(1)
    first.cancel()


@pytest.mark.parametrize(("others", "seconds"), [(False, 3), (True, 1)])
async def test_a_place_is_waited_for_as_long_as_the_deadline_allows_unless_others_can_answer(
    clock: ManualClock, others: bool, seconds: float
) -> None:
    http = SlowHttp(clock, 3)
    metered = Metered(http, ToldQuota(), api="words", clock=clock, places=1)
    first = asyncio.create_task(metered.get(URL, {}))
    await clock.settle()

    async def ask(_: str) -> Answer:
        return await metered.get(URL, {})

    second = asyncio.create_task(ended_within(8, ask, "hour", clock, others=others))
    await clock.advance(seconds)
    await clock.advance(3)

    assert first.result().status == 200
    assert isinstance(second.exception(), Crowded) if others else second.result().status == 200
    assert http.at == ([0] if others else [0, 3])


async def test_a_call_that_fails_or_is_left_gives_its_place_back(clock: ManualClock) -> None:
    http = SlowHttp(clock, 3600)
    metered = Metered(http, ToldQuota(), api="words", clock=clock, places=1)
    for _ in range(3):
        left = asyncio.create_task(metered.get(URL, {}))
        await clock.settle()
        left.cancel()
        await clock.settle()
    http.seconds = 0

    await metered.get(URL, {})

    assert len(http.asked) == 1


async def test_to_wait_for_the_quota_takes_no_place(clock: ManualClock) -> None:
    """Or those behind would hear of a crowd, while it is the quota that is spent."""
    metered = Metered(CountingHttp(), ToldQuota(0.9, 42), api="words", clock=clock, places=1)
    waiting = asyncio.create_task(metered.get(URL, {}))
    await clock.settle()

    with pytest.raises(QuotaSpent):
        await metered.get(URL, {})

    assert clock.monotonic() == 0
    await clock.advance(0.9)
    assert waiting.result().status == 200


@pytest.mark.parametrize("deadline", [0.01, 0.5, 8])
async def test_a_breaker_learns_nothing_from_a_crowd(
    clock: ManualClock, counts: OutsideCounts, deadline: float
) -> None:
    """Not even when the deadline comes before a place would."""
    metered = Metered(SlowHttp(clock, 3600), ToldQuota(), api="words", clock=clock, places=1)
    first = asyncio.create_task(metered.get(URL, {}))
    await clock.settle()

    async def ask(_: str) -> Answer:
        return await metered.get(URL, {})

    bounded = Deadline(Breaker(ask, api="words", clock=clock, counts=counts), clock=clock, seconds=deadline)
    for _ in range(20):
        with pytest.raises(Crowded):
            await clock.run(bounded("hour"))

    assert counts.breakers == {"words": BreakerState.CLOSED}
    first.cancel()
