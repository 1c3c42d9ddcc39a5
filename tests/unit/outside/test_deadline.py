"""One deadline for a question and all that it leads to."""

import asyncio

import pytest

from adapters.outside.deadline import Deadline, left
from ports.errors import Rejected, Unavailable
from tests.clock import ManualClock
from tests.unit.outside.scripted import Scripted


async def test_what_does_not_come_is_unavailable_at_the_deadline_and_ended(clock: ManualClock) -> None:
    bounded = Deadline(Scripted(clock, seconds=3600), clock=clock, seconds=8)

    with pytest.raises(Unavailable, match="8 seconds"):
        await clock.run(bounded("hour"))

    assert clock.monotonic() == 8
    await clock.settle()
    assert clock.sleepers == 0


@pytest.mark.parametrize(("outer", "inner"), [(2, 8), (8, 2)])
async def test_a_deadline_inside_of_another_only_shortens_it(clock: ManualClock, outer: float, inner: float) -> None:
    bounded = Deadline(Scripted(clock, seconds=3600), clock=clock, seconds=inner)

    with pytest.raises(Unavailable):
        await clock.run(Deadline(bounded, clock=clock, seconds=outer)("hour"))

    assert clock.monotonic() == 2


async def test_what_is_further_in_sees_how_much_is_left(clock: ManualClock) -> None:
    async def look(_: str) -> float:
        await clock.sleep(3)
        return left(clock)

    inner = Deadline(look, clock=clock, seconds=30)
    seen = await clock.run(Deadline(inner, clock=clock, seconds=8)("hour"))

    assert seen == 5
    assert left(clock) == float("inf")


async def test_a_caller_that_leaves_ends_the_question(clock: ManualClock) -> None:
    caller = asyncio.create_task(Deadline(Scripted(clock, seconds=3600), clock=clock, seconds=8)("hour"))
    await clock.settle()

    caller.cancel()
    await clock.settle()

    assert caller.cancelled()
    assert clock.sleepers == 0


async def test_an_error_is_that_of_the_question(clock: ManualClock) -> None:
    bounded = Deadline(Scripted(clock, Rejected("no")), clock=clock, seconds=8)

    with pytest.raises(Rejected, match="no"):
        await bounded("hour")
