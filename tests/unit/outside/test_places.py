"""So many at once, in the order in which they came."""

import asyncio

import pytest

from adapters.outside.places import Places
from tests.clock import ManualClock


@pytest.fixture
def places(clock: ManualClock) -> Places:
    return Places(2, clock=clock)


async def test_there_are_so_many(places: Places) -> None:
    assert [await places.take(seconds=0) for _ in range(3)] == [True, True, False]

    places.leave()

    assert [await places.take(seconds=0) for _ in range(2)] == [True, False]


async def test_one_that_comes_free_goes_to_the_first_who_waits(places: Places, clock: ManualClock) -> None:
    for _ in range(2):
        await places.take(seconds=1)
    waiting = [asyncio.create_task(places.take(seconds=1)) for _ in range(3)]
    await clock.settle()

    places.leave()
    late = await places.take(seconds=0)
    await clock.settle()

    assert not late
    assert [one.done() for one in waiting] == [True, False, False]
    await clock.advance(1)
    assert [one.result() for one in waiting] == [True, False, False]
    assert clock.sleepers == 0


async def test_who_leaves_while_waiting_costs_no_place(places: Places, clock: ManualClock) -> None:
    """Also in the very moment in which it gets one."""
    for _ in range(2):
        await places.take(seconds=1)
    waiting = [asyncio.create_task(places.take(seconds=1)) for _ in range(3)]
    await clock.settle()

    waiting[0].cancel()
    await clock.settle()
    places.leave()
    waiting[1].cancel()
    await clock.settle()

    assert waiting[2].result()
    places.leave()
    places.leave()
    assert [await places.take(seconds=0) for _ in range(3)] == [True, True, False]
    assert clock.sleepers == 0
