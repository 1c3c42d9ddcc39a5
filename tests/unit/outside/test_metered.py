"""HTTP under a quota."""

import asyncio
from collections.abc import Collection, Mapping

import pytest
from pydantic import SecretStr

from adapters.http_client import Answer
from adapters.outside.deadline import Deadline
from adapters.outside.errors import QuotaSpent
from adapters.outside.metered import Metered
from ports.errors import Unavailable
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
    ) -> Answer:
        self.asked.append((url, parameters, secrets, expect))
        return Answer("words.example", 200, b"{}")


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
