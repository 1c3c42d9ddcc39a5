"""The beats of a worker's processes."""

import os

from domain.delivery.in_hand import STUCK_SECONDS
from entrypoints.beats import STILL_SECONDS, Beats
from entrypoints.health import Found
from ports.trouble import Cause


class Hand:
    """A monotonic clock to set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_worker_whose_processes_all_move_is_well() -> None:
    clock = Hand()
    beats = Beats(clock)
    for slot in range(4):
        beats.beat(slot, busy_since=None)

    clock.now += STILL_SECONDS

    assert await beats.look() == Found("ready")
    assert len(beats.read()) == 4


async def test_a_process_that_stands_still_is_told_by_its_number() -> None:
    clock = Hand()
    beats = Beats(clock)
    beats.beat(0, busy_since=None)
    clock.now += STILL_SECONDS + 1
    beats.beat(1, busy_since=None)

    found = await beats.look()

    assert found.status == "degraded"
    assert found.trouble is not None
    assert found.trouble.cause is Cause.STUCK
    assert found.trouble == f"1 of 2 processes of this worker do not get on; process {os.getpid()} has not for 9 s"


async def test_a_process_that_works_at_one_task_for_too_long_does_not_get_on() -> None:
    clock = Hand()
    beats = Beats(clock)
    beats.beat(0, busy_since=clock.now - STUCK_SECONDS + 1)
    beats.beat(1, busy_since=None)
    working = await beats.look()
    clock.now += 1

    hanging = await beats.look()

    assert working == Found("ready")
    assert hanging.status == "degraded"
    assert "process" in str(hanging.trouble)


async def test_a_worker_none_of_whose_processes_moves_is_not_ready() -> None:
    clock = Hand()
    beats = Beats(clock)
    beats.beat(0, busy_since=None)
    beats.beat(1, busy_since=None)

    clock.now += STILL_SECONDS + 1

    assert (await beats.look()).status == "unavailable"


async def test_a_process_in_the_place_of_one_that_died_makes_it_well_again() -> None:
    clock = Hand()
    beats = Beats(clock)
    beats.beat(0, busy_since=None)
    clock.now += STILL_SECONDS + 1

    beats.beat(0, busy_since=None)

    assert await beats.look() == Found("ready")


def beaten_by_one_that_is_gone(beats: Beats, slot: int) -> None:
    child = os.fork()
    if child == 0:
        beats.beat(slot, busy_since=None)
        os._exit(0)
    os.waitpid(child, 0)


async def test_a_process_that_is_gone_and_was_not_replaced_is_forgotten() -> None:
    """A pool that scales itself has fewer processes at night, and is well."""
    clock = Hand()
    beats = Beats(clock)
    beaten_by_one_that_is_gone(beats, slot=1)
    clock.now += STILL_SECONDS + 1
    beats.beat(0, busy_since=None)

    found = await beats.look()

    assert found == Found("ready")
    assert [beat.pid for beat in beats.read()] == [os.getpid()]


async def test_a_worker_all_of_whose_processes_are_gone_is_not_ready() -> None:
    clock = Hand()
    beats = Beats(clock)
    for slot in range(2):
        beaten_by_one_that_is_gone(beats, slot)
    clock.now += STILL_SECONDS + 1

    found = await beats.look()

    assert found.status == "unavailable"
    assert "2 of 2" in str(found.trouble)


def test_a_child_is_seen_by_its_parent() -> None:
    beats = Beats()

    child = os.fork()
    if child == 0:
        beats.beat(3, busy_since=5.0)
        os._exit(0)
    os.waitpid(child, 0)

    ((beat),) = beats.read()
    assert (beat.pid, beat.busy_since) == (child, 5.0)
