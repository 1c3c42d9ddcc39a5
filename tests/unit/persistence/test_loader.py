import asyncio
from collections.abc import Sequence

import pytest

from adapters.persistence.sql.loader import AT_ONCE, Loader
from adapters.persistence.sql.rows import Row


class Table:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Event()

    async def __call__(self, ids: list[str]) -> Sequence[Row]:
        self.asked.append(ids)
        await self.may_answer.wait()
        return [(id_, f"row {id_}") for id_ in ids if id_ != "nobody"]


async def test_what_is_asked_for_in_one_turn_is_one_query() -> None:
    table = Table()
    table.may_answer.set()
    load = Loader(table)

    rows = await asyncio.gather(*map(load, ["a", "b", "a", "nobody"]))

    assert rows == [("a", "row a"), ("b", "row b"), ("a", "row a"), None]
    assert table.asked == [["a", "b", "nobody"]]


async def test_the_busier_it_is_the_more_go_together() -> None:
    table = Table()
    load = Loader(table)
    asking = []
    for number in range(20):
        asking.append(asyncio.create_task(load(str(number))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(table.asked) == AT_ONCE

    table.may_answer.set()

    assert await asyncio.gather(*asking) == [(str(number), f"row {number}") for number in range(20)]
    assert len(table.asked) == AT_ONCE + 1


async def test_nothing_is_remembered() -> None:
    table = Table()
    table.may_answer.set()
    load = Loader(table)

    await load("a")
    await load("a")

    assert table.asked == [["a"], ["a"]]


async def test_who_leaves_takes_nothing_away() -> None:
    table = Table()
    load = Loader(table)
    leaving, staying = asyncio.create_task(load("a")), asyncio.create_task(load("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    leaving.cancel()
    table.may_answer.set()

    assert await staying == ("a", "row a")
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_an_error_is_told_to_all_who_asked_and_to_nobody_after_them() -> None:
    failing = True

    async def fetch(ids: list[str]) -> Sequence[Row]:
        if failing:
            raise LookupError(ids)
        return [(id_,) for id_ in ids]

    load = Loader(fetch)

    outcomes = await asyncio.gather(load("a"), load("b"), return_exceptions=True)
    failing = False

    assert [type(outcome) for outcome in outcomes] == [LookupError] * 2
    assert await load("a") == ("a",)
