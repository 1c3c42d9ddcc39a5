"""The next provider answers when one cannot."""

import logging

import pytest

from adapters.outside.deadline import Deadline
from adapters.outside.errors import BreakerOpen, QuotaSpent
from adapters.outside.failover import Failover
from domain.model.errors import WeatherNotConfigured
from ports.errors import Rejected, Unavailable
from tests.clock import ManualClock
from tests.unit.outside.scripted import NoSuchWord, Said, Scripted


def failover(clock: ManualClock, *asks: Scripted) -> Deadline[str, Said]:
    named = {f"api{number}": ask for number, ask in enumerate(asks, 1)}
    return Deadline(Failover(named, clock=clock, passed_over=(WeatherNotConfigured,)), clock=clock, seconds=8)


async def test_the_first_answers_alone_while_it_can(clock: ManualClock) -> None:
    first, second = Scripted(clock, name=" of 1"), Scripted(clock, name=" of 2")

    answer = await failover(clock, first, second)("hour")

    assert answer.words == "hour of 1"
    assert second.calls == []


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("away"),
        BreakerOpen("left in peace", retry_after=1),
        QuotaSpent("used up", retry_after=1),
        Rejected("nonsense"),
        WeatherNotConfigured(),
    ],
)
async def test_the_second_answers_when_the_first_cannot(clock: ManualClock, error: Exception) -> None:
    answer = await failover(clock, Scripted(clock, error), Scripted(clock, name=" of 2"))("hour")

    assert answer.words == "hour of 2"


@pytest.mark.parametrize("error", [NoSuchWord(), KeyError("a bug")])
async def test_anything_else_is_an_answer(clock: ManualClock, error: Exception) -> None:
    second = Scripted(clock)

    with pytest.raises(type(error)):
        await failover(clock, Scripted(clock, error), second)("hour")

    assert second.calls == []


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ([Unavailable("first"), Unavailable("second")], "first"),
        ([Rejected("first"), Unavailable("second")], "second"),
        ([Rejected("first"), Rejected("second")], "first"),
        ([WeatherNotConfigured(), Rejected("second")], "API key"),
        ([Rejected("first"), WeatherNotConfigured(), Unavailable("third")], "third"),
    ],
)
async def test_when_all_fail_the_first_that_may_recover_speaks_for_all(
    clock: ManualClock, errors: list[Exception], told: str
) -> None:
    with pytest.raises(Exception, match=told):
        await failover(clock, *(Scripted(clock, error) for error in errors))("hour")


async def test_one_that_never_answers_leaves_the_others_their_part_of_the_time(clock: ManualClock) -> None:
    first, second, third = (Scripted(clock, seconds=3600) for _ in range(3))

    with pytest.raises(Unavailable):
        await clock.run(failover(clock, first, second, third)("hour"))

    starts = [ask.calls[0] for ask in (first, second, third)]
    assert starts == pytest.approx([0, 8 / 3, 8 / 3 + (8 - 8 / 3) / 2])
    assert clock.monotonic() == pytest.approx(8)


async def test_one_that_fails_at_once_leaves_all_of_the_time(clock: ManualClock) -> None:
    answer = await clock.run(
        failover(clock, Scripted(clock, Unavailable("away")), Scripted(clock, seconds=7.9))("hour")
    )

    assert answer.words == "hour"


async def test_an_answer_of_no_use_is_told_to_the_operator(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="crossdock.outside"):
        await failover(clock, Scripted(clock, Rejected("401")), Scripted(clock))("hour")

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "api1 gave an answer of no use, the next one is asked: 401")
    ]


async def test_nobody_to_ask_is_a_mistake(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="nobody"):
        Failover({}, clock=clock)
