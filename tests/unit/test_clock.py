"""The clock of tests, and the machine's."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from adapters.clock import StoreClock, SystemClock
from tests.clock import ManualClock


async def test_sleepers_wake_in_the_order_of_their_due_times() -> None:
    clock, woken = ManualClock(), list[tuple[str, float]]()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as tasks:
        for name, seconds in (("late", 3.0), ("early", 1.0), ("also early", 1.0), ("middle", 2.0)):
            tasks.create_task(sleeper(name, seconds))
        await clock.advance(2.5)
        in_time = list(woken)
        await clock.advance(0.5)

    assert in_time == [("early", 1.0), ("also early", 1.0), ("middle", 2.0)]
    assert woken[3:] == [("late", 3.0)]


async def test_whoever_sleeps_again_while_time_passes_is_woken_again() -> None:
    clock, ticks = ManualClock(), list[float]()

    async def ticker() -> None:
        for _ in range(4):
            await clock.sleep(0.1)
            ticks.append(clock.monotonic())

    task = asyncio.create_task(ticker())
    await clock.advance(1)

    assert task.done()
    assert ticks == pytest.approx([0.1, 0.2, 0.3, 0.4])


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.settle()

    task.cancel()
    await clock.settle()

    assert clock.sleepers == 0
    assert clock.next_wake is None


async def test_run_moves_time_as_far_as_the_work_waits() -> None:
    clock = ManualClock()

    async def work() -> str:
        await clock.sleep(60)
        await clock.sleep(3600)
        return "done"

    assert await clock.run(work()) == "done"
    assert clock.monotonic() == 3660


async def test_run_says_when_the_work_can_never_end() -> None:
    clock = ManualClock()

    with pytest.raises(AssertionError, match="not this clock"):
        await clock.run(asyncio.Event().wait())


async def test_a_wall_clock_that_jumps_wakes_nobody() -> None:
    clock = ManualClock()
    before = clock.now()
    task = asyncio.create_task(clock.sleep(10))
    await clock.settle()

    clock.jump(3600)
    await clock.settle()

    assert clock.now() - before == timedelta(hours=1)
    assert not task.done()
    task.cancel()


async def test_waiting_for_an_event_ends_with_the_event_or_with_time() -> None:
    clock, event = ManualClock(), asyncio.Event()

    waiting = asyncio.create_task(clock.wait(event, 5))
    await clock.advance(5)
    timed_out = waiting.result()
    waiting = asyncio.create_task(clock.wait(event, 5))
    await clock.settle()
    event.set()
    await clock.settle()

    assert timed_out is False
    assert waiting.result() is True


async def test_the_system_clock_is_utc_and_never_goes_back() -> None:
    clock = SystemClock()

    first, second = clock.monotonic(), clock.monotonic()
    await clock.sleep(0)

    assert first <= second
    assert clock.now().tzinfo is UTC


def test_a_store_clock_tells_this_machines_time_until_the_store_has_told_its_own() -> None:
    clock = StoreClock()

    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_store_clock_goes_by_the_store_whatever_this_machine_believes() -> None:
    clock = StoreClock()
    theirs = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)

    clock.correct(theirs)

    assert timedelta() <= clock.now() - theirs < timedelta(seconds=5)


def test_a_store_clock_goes_on_between_two_corrections_and_follows_each() -> None:
    clock = StoreClock()
    theirs = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    clock.correct(theirs)

    first = clock.now()
    second = clock.now()
    clock.correct(theirs - timedelta(hours=1))

    assert first <= second
    assert clock.now() < theirs
