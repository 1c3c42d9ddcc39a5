import asyncio
import contextlib

import pytest

from domain.delivery.bound import Bound, Stopped


async def test_work_that_hangs_is_ended_and_has_failed() -> None:
    with pytest.raises(TimeoutError, match="not done after 0 seconds"):
        await Bound(0).run(asyncio.Event().wait())  # type: ignore[arg-type]


async def test_a_time_out_of_the_work_itself_keeps_its_words() -> None:
    async def work() -> None:
        raise TimeoutError("the server was slow")

    with pytest.raises(TimeoutError, match="the server was slow"):
        await Bound(60).run(work())


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    async def work() -> None:
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost

    with pytest.raises(Stopped):
        await Bound(60).run(work())


async def test_a_cancellation_that_was_asked_for_is_passed_on() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(Bound(60).run(work()))
    await begun.wait()

    working.cancel()

    with pytest.raises(asyncio.CancelledError):
        await working


async def test_each_of_several_works_has_its_own_time_and_harms_no_other() -> None:
    """One timer serves all: those that began with it, those that ended in time, and those that come later."""

    async def done() -> None:
        pass

    bound = Bound(0.01)
    hanging = [asyncio.create_task(bound.run(asyncio.Event().wait())) for _ in range(2)]  # type: ignore[arg-type]
    await bound.run(done())

    outcomes = await asyncio.gather(*hanging, return_exceptions=True)
    await bound.run(done())

    assert [type(outcome) for outcome in outcomes] == [TimeoutError, TimeoutError]
    with pytest.raises(TimeoutError):
        await bound.run(asyncio.Event().wait())  # type: ignore[arg-type]


async def test_work_that_does_not_end_when_it_is_told_to_is_not_held_against_who_waits() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    await Bound(0).run(work())

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_who_is_told_to_end_when_the_time_is_over_as_well_ends() -> None:
    async def told_twice() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        await Bound(0).run(asyncio.Event().wait())  # type: ignore[arg-type]

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(told_twice())


async def test_who_was_told_to_end_before_is_still_told_so_after_work_that_hung() -> None:
    """What is bounded may be the last that a process does: that it is to end must not be forgotten over it."""

    async def last_work() -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await Bound(0).run(asyncio.Event().wait())  # type: ignore[arg-type]
        return task.cancelling()

    assert await asyncio.create_task(last_work()) == 1
