import asyncio

import pytest

from domain.delivery.failures import reason, storable, together
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
