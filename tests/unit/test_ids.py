"""UUIDs of version 7 (RFC 9562 §5.7 and §6.2)."""

import threading
from datetime import datetime
from uuid import RFC_4122, UUID

from adapters.clock import SystemClock
from adapters.ids import UuidV7Ids
from tests.clock import ManualClock


def milliseconds_of(id: UUID) -> int:
    return id.int >> 80


def test_an_id_is_a_uuid_of_version_7_and_the_variant_of_the_rfc() -> None:
    made = UuidV7Ids(SystemClock()).new()

    assert made.version == 7
    assert made.variant == RFC_4122


def test_the_first_48_bits_are_the_wall_clock_in_milliseconds() -> None:
    example_of_the_rfc = datetime.fromisoformat("2022-02-22T14:22:22.000999-05:00")  # appendix A.6
    clock = ManualClock(example_of_the_rfc)

    made = UuidV7Ids(clock).new()

    assert milliseconds_of(made) == 0x017F22E279B0


def test_ids_of_one_millisecond_are_in_order_even_when_its_counter_runs_over() -> None:
    clock = ManualClock()
    ids = UuidV7Ids(clock)

    made = [ids.new() for _ in range(10_000)]

    assert made == sorted(set(made))
    assert milliseconds_of(made[2000]) == milliseconds_of(made[0])
    assert milliseconds_of(made[-1]) - milliseconds_of(made[0]) <= 5


def test_ids_stay_in_order_when_the_wall_clock_is_set_back() -> None:
    clock = ManualClock()
    ids = UuidV7Ids(clock)
    before = ids.new()

    clock.jump(-3600)
    after = ids.new()

    assert after > before


async def test_ids_follow_the_wall_clock_again_once_it_has_caught_up() -> None:
    clock = ManualClock()
    ids = UuidV7Ids(clock)
    first = ids.new()

    await clock.advance(1)

    assert milliseconds_of(ids.new()) - milliseconds_of(first) == 1000


def test_two_processes_do_not_meet() -> None:
    clock = ManualClock()

    made = {UuidV7Ids(clock).new() for _ in range(1000)}

    assert len(made) == 1000


def test_threads_never_get_the_same_id_and_each_sees_its_own_in_order() -> None:
    ids = UuidV7Ids(SystemClock())
    made: list[list[UUID]] = [[] for _ in range(4)]
    gate = threading.Barrier(len(made))

    def make(into: list[UUID]) -> None:
        gate.wait()
        into.extend(ids.new() for _ in range(2000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({one for into in made for one in into}) == 8000
    assert all(into == sorted(into) for into in made)
