import asyncio
from collections.abc import Sequence

import pytest

from adapters.persistence.sql.group_commit import GroupCommit
from ports.errors import Unavailable, Unknown
from ports.persistence import Write

Outcomes = Sequence[Exception | None]


class Writer:
    """Writes when it is let."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.may_write = asyncio.Event()

    async def __call__(self, units: Sequence[Sequence[Write]], deadlines: Sequence[float]) -> Outcomes:
        assert len(units) == len(deadlines)
        self.groups.append(len(units))
        await self.may_write.wait()
        return [None] * len(units)


async def test_what_waits_at_the_same_moment_is_written_together() -> None:
    writer = Writer()
    writer.may_write.set()
    commit = GroupCommit(writer, most_units=8)

    await asyncio.gather(*(commit([], 1) for _ in range(20)))

    assert writer.groups == [8, 8, 4]


async def test_while_nothing_is_answered_each_caller_is_told_when_its_own_time_is_over() -> None:
    """Also those who come when others have been told already."""
    commit = GroupCommit(Writer(), most_units=1)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def told(seconds: float) -> tuple[type[BaseException], bool]:
        begun = loop.time()
        with pytest.raises((Unknown, Unavailable)) as caught:
            await commit([], seconds)
        return type(caught.value), seconds <= loop.time() - begun < seconds + 0.5

    first = [asyncio.create_task(told(seconds)) for seconds in (0.05, 0.2, 0.1)]
    assert await asyncio.gather(*first) == [(Unknown, True), (Unavailable, True), (Unavailable, True)]
    assert await told(0.05) == (Unavailable, True)
    assert loop.time() - began < 2


async def test_a_unit_that_waited_too_long_is_not_written() -> None:
    writer = Writer()
    commit = GroupCommit(writer, most_units=1)
    first = asyncio.create_task(commit([], 5))
    late = asyncio.create_task(commit([], 0.05))

    with pytest.raises(Unavailable):
        await late
    writer.may_write.set()
    await first

    assert writer.groups == [1]


async def test_too_much_is_refused_at_once() -> None:
    writer = Writer()
    commit = GroupCommit(writer, most_units=1, most_waiting=2)
    waiting = [asyncio.create_task(commit([], 5)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable, match="too much waits"):
        await commit([], 5)

    writer.may_write.set()
    await asyncio.gather(*waiting)


async def test_an_error_that_nobody_foresaw_is_told_to_those_whose_units_it_was() -> None:
    async def fails(units: Sequence[Sequence[Write]], deadlines: Sequence[float]) -> Outcomes:
        raise LookupError(len(units), len(deadlines))

    commit = GroupCommit(fails, most_units=8)

    outcomes = await asyncio.gather(*(commit([], 1) for _ in range(3)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [LookupError] * 3
    with pytest.raises(LookupError):
        await commit([], 1)


async def test_closing_waits_for_what_was_accepted() -> None:
    writer = Writer()
    commit = GroupCommit(writer, most_units=1)
    waiting = [asyncio.create_task(commit([], 5)) for _ in range(3)]
    await asyncio.sleep(0)
    writer.may_write.set()

    await commit.close()

    assert await asyncio.gather(*waiting) == [None] * 3
    with pytest.raises(Unavailable):
        await commit([], 5)
