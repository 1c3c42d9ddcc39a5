"""The next provider answers when one cannot."""

import asyncio

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


# To see whether it is back


class Probed(Scripted):
    """One of which it is not known whether it is back."""

    unsure = True


def unsure(clock: ManualClock, first: Probed, *others: Scripted) -> Failover[str, Said]:
    named = {"api1": first} | {f"api{number}": ask for number, ask in enumerate(others, 2)}
    return Failover(named, clock=clock, wants_a_probe=lambda api: api == "api1" and first.unsure)


async def test_one_that_may_be_back_is_asked_without_anybody_waiting_for_it(clock: ManualClock) -> None:
    first, second = Probed(clock, seconds=3600), Scripted(clock, name=" of 2")
    both = unsure(clock, first, second)

    answer = await clock.run(Deadline(both, clock=clock, seconds=8)("hour"))

    assert answer.words == "hour of 2"
    assert clock.monotonic() == 0
    await clock.settle()
    assert len(first.calls) == 1
    await clock.advance(8)
    assert clock.sleepers == 0
    assert len(asyncio.all_tasks()) == 1


async def test_its_answer_counts_when_nobody_else_has_one(clock: ManualClock) -> None:
    first = Probed(clock, seconds=3, name=" of 1")
    both = unsure(clock, first, Scripted(clock, Unavailable("away")))

    answer = await clock.run(Deadline(both, clock=clock, seconds=8)("hour"))

    assert answer.words == "hour of 1"
    assert clock.monotonic() == 3


async def test_it_is_asked_by_one_alone(clock: ManualClock) -> None:
    first, second = Probed(clock, seconds=3600), Scripted(clock, name=" of 2")
    both = unsure(clock, first, second)

    answers = await asyncio.gather(*(both(f"hour {number}") for number in range(100)))
    await clock.settle()

    assert {answer.words.endswith(" of 2") for answer in answers} == {True}
    assert len(first.calls) == 1
    await both.stop()
    assert clock.sleepers == 0


async def test_when_all_fail_the_probe_fails_with_them_in_time(clock: ManualClock) -> None:
    both = unsure(clock, Probed(clock, seconds=3600), Scripted(clock, Rejected("nonsense")))

    with pytest.raises(Unavailable):
        await clock.run(Deadline(both, clock=clock, seconds=8)("hour"))

    assert clock.monotonic() == pytest.approx(8)


async def test_the_last_has_nobody_behind_it_and_is_waited_for(clock: ManualClock) -> None:
    last = Probed(clock, seconds=1, name=" of 2")
    both = Failover(
        {"api1": Scripted(clock, Unavailable("away")), "api2": last},
        clock=clock,
        wants_a_probe=lambda api: api == "api2",
    )

    assert (await clock.run(both("hour"))).words == "hour of 2"


async def test_nobody_to_ask_is_a_mistake(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="nobody"):
        Failover({}, clock=clock)
