import asyncio

import pytest

from domain.delivery.failures import Stopped, bounded, reason, storable, together
from domain.model.errors import OrderNotFound
from ports.errors import Rejected


class Untellable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even this fails")


@pytest.mark.parametrize(
    ("failure", "kept"),
    [
        (ValueError("no  such\nthing"), "ValueError: no such thing"),
        (ValueError(), "ValueError"),
        (Rejected("the mailbox is full"), "the mailbox is full"),
        (OrderNotFound(), "There is no order with this id."),
        (ValueError("a\0b \ud800"), "ValueError: a\\0b \\ud800"),
        (Untellable(), "Untellable"),
    ],
)
def test_a_failure_is_kept_as_one_line_that_every_store_takes(failure: Exception, kept: str) -> None:
    assert reason(failure) == kept


@pytest.mark.parametrize("text", ["", "plain", "Zoë 漢字 👩‍🚀", "a\u200bb", "one\nline"])
def test_what_every_store_takes_is_left_alone(text: str) -> None:
    assert storable(text) == text


async def test_work_that_hangs_is_ended_and_has_failed() -> None:
    with pytest.raises(TimeoutError, match="not done after 0 seconds"):
        await bounded(asyncio.Event().wait(), 0)  # type: ignore[arg-type]


async def test_a_time_out_of_the_work_itself_keeps_its_words() -> None:
    async def work() -> None:
        raise TimeoutError("the server was slow")

    with pytest.raises(TimeoutError, match="the server was slow"):
        await bounded(work(), 60)


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    async def work() -> None:
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost

    with pytest.raises(Stopped):
        await bounded(work(), 60)


async def test_a_cancellation_that_was_asked_for_is_passed_on() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(bounded(work(), 60))
    await begun.wait()

    working.cancel()

    with pytest.raises(asyncio.CancelledError):
        await working


async def test_all_are_done_to_their_end_whichever_fails() -> None:
    done: list[str] = []

    async def fails() -> None:
        raise ValueError("the first")

    async def takes_a_while() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        done.append("the second")

    with pytest.raises(ValueError, match="the first"):
        await together([fails(), takes_a_while()])

    assert done == ["the second"]
