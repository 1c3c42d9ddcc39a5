"""One question for all who want the same at the same time."""

import asyncio

import pytest

from adapters.outside.deadline import Deadline
from adapters.outside.single_flight import SingleFlight
from ports.errors import Rejected, Unavailable
from tests.clock import ManualClock
from tests.unit.outside.scripted import Said, Scripted


def flights_to(ask: Scripted) -> SingleFlight[str, Said]:
    return SingleFlight(ask, key=str.casefold)


async def test_a_thousand_callers_make_one_call(clock: ManualClock) -> None:
    ask = Scripted(clock, seconds=1)
    flights = flights_to(ask)

    callers = [asyncio.create_task(flights("Hour" if number % 2 else "hour")) for number in range(1000)]
    await clock.advance(1)

    assert len({caller.result() for caller in callers}) == 1
    assert len(ask.calls) == 1


async def test_callers_that_leave_at_any_moment_do_not_fail_the_others(clock: ManualClock) -> None:
    ask = Scripted(clock, seconds=1)
    flights = flights_to(ask)
    callers = [asyncio.create_task(flights("hour")) for _ in range(100)]

    for caller in callers[:-1]:
        await clock.advance(0.005)
        caller.cancel()
    await clock.advance(1)

    assert all(caller.cancelled() for caller in callers[:-1])
    assert callers[-1].result().words == "hour"
    assert len(ask.calls) == 1


async def test_the_question_goes_on_when_every_caller_has_left(clock: ManualClock) -> None:
    ask = Scripted(clock, Rejected("nobody hears it"), seconds=1)
    flights = flights_to(ask)
    caller = asyncio.create_task(flights("hour"))
    await clock.settle()

    caller.cancel()
    await clock.advance(0.5)
    late = asyncio.create_task(flights("hour"))
    await clock.advance(0.5)

    assert isinstance(late.exception(), Rejected)
    assert len(ask.calls) == 1


async def test_after_an_error_the_next_caller_asks_again(clock: ManualClock) -> None:
    ask = Scripted(clock, Unavailable("away"))
    flights = flights_to(ask)
    with pytest.raises(Unavailable):
        await flights("hour")

    answer = await flights("hour")

    assert answer.words == "hour"


async def test_the_deadline_of_one_caller_is_not_that_of_the_others(clock: ManualClock) -> None:
    ask = Scripted(clock, seconds=3)
    bounded = Deadline(ask, clock=clock, seconds=8)
    flights = SingleFlight(bounded, key=str.casefold)
    hurried = asyncio.create_task(Deadline(flights, clock=clock, seconds=1)("hour"))
    await clock.settle()  # it is the one that begins
    patient = asyncio.create_task(flights("hour"))

    await clock.advance(1)
    assert isinstance(hurried.exception(), Unavailable)
    await clock.advance(2)

    assert patient.result().words == "hour"
    assert len(ask.calls) == 1


async def test_stopping_tells_the_callers_and_takes_nothing_new(clock: ManualClock) -> None:
    flights = flights_to(Scripted(clock, seconds=3600))
    caller = asyncio.create_task(flights("hour"))
    await clock.settle()

    await flights.stop()
    await clock.settle()

    assert isinstance(caller.exception(), Unavailable)
    with pytest.raises(Unavailable, match="ending"):
        await flights("hour")
    assert clock.sleepers == 0


async def test_stopping_waits_for_nobody_who_will_not_end(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.outside.single_flight.STOP_SECONDS", 0.01)
    enough = asyncio.Event()

    async def stubborn(_: str) -> str:
        while not enough.is_set():
            try:
                await enough.wait()
            except asyncio.CancelledError:
                continue
        return "at last"

    flights = SingleFlight(stubborn, key=str)
    caller = asyncio.create_task(flights("hour"))
    await clock.settle()

    await flights.stop()

    assert not caller.done()
    enough.set()
    await caller
