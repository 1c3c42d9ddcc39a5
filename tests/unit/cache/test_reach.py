"""A server that we can do without: when it is asked, when it rests, and what is told of it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import pytest

from adapters.reach import Crowded, Reach
from ports.errors import Rejected, Unavailable
from tests.clock import ManualClock


class Away(Exception):
    pass


class Refused(Exception):
    pass


ERRORS = {Away: Unavailable, Refused: Rejected}
WORDS: dict[type[Exception], str] = {Away: "it has gone", Refused: "it has no room"}


class Line:
    """A connection to nobody."""

    made = 0

    def __init__(self) -> None:
        Line.made += 1
        self.is_open = False

    async def open(self) -> None:
        self.is_open = True

    async def usable(self) -> bool:
        return self.is_open

    async def close(self) -> None:
        self.is_open = False


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def reach(clock: ManualClock) -> Reach[Line]:
    Line.made = 0
    return Reach("A server", Line, errors=ERRORS, words=WORDS, clock=clock, links=2)


def answering(value: object) -> Callable[[Line], Awaitable[object]]:
    async def question(_: Line) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    return question


async def waiting(_: Line) -> None:
    await asyncio.Event().wait()


async def fails(reach: Reach[Line], error: Exception, what: str = "read") -> None:
    with pytest.raises((Unavailable, Rejected)):
        await reach.ask(answering(error), what=what)


async def test_a_line_is_used_again(reach: Reach[Line]) -> None:
    answers = [await reach.ask(answering(number), what="read") for number in range(5)]

    assert answers == list(range(5))
    assert Line.made == 1


async def test_there_are_never_more_lines_than_allowed(reach: Reach[Line]) -> None:
    async def slow(_: Line) -> int:
        await asyncio.sleep(0)
        return 1

    await asyncio.gather(*(reach.ask(slow, what="read") for _ in range(50)))

    assert Line.made == 2


async def test_a_line_on_which_something_failed_is_not_used_again(reach: Reach[Line]) -> None:
    await fails(reach, Refused())

    await reach.ask(answering(1), what="read")

    assert Line.made == 2


async def test_after_a_failure_it_rests_and_then_one_tries(reach: Reach[Line], clock: ManualClock) -> None:
    tried = 0

    async def count(_: Line) -> None:
        nonlocal tried
        tried += 1
        raise Away

    for _ in range(10):
        with pytest.raises(Unavailable):
            await reach.ask(count, what="read")
    while_resting = tried
    await clock.advance(1)
    await asyncio.gather(*(reach.ask(count, what="read") for _ in range(10)), return_exceptions=True)

    assert (while_resting, tried) == (1, 2)


async def test_one_answer_brings_it_back_for_all(
    reach: Reach[Line], clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crossdock")
    for _ in range(3):
        await fails(reach, Away())
        await clock.advance(1)
    assert reach.trouble == "A server is away: it has gone"

    await reach.ask(answering(1), what="read")
    await asyncio.gather(*(reach.ask(answering(1), what="read") for _ in range(10)))

    assert reach.trouble is None
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "A server is away",
        "A server is back",
    ]


async def test_who_tries_and_leaves_keeps_nobody_from_trying_later(reach: Reach[Line], clock: ManualClock) -> None:
    await fails(reach, Away())
    await clock.advance(1)
    leaving = asyncio.create_task(reach.ask(waiting, what="read"))
    await asyncio.sleep(0)
    leaving.cancel()
    await clock.advance(1)

    assert await reach.ask(answering(1), what="read") == 1
    await reach.stop()


async def test_what_is_refused_lets_nobody_wait_and_is_told_until_it_is_done_again(
    reach: Reach[Line], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crossdock")
    for _ in range(5):
        await fails(reach, Refused(), what="write")
        assert await reach.ask(answering(1), what="read") == 1

    assert reach.trouble == "A server refuses to write: it has no room"
    await reach.ask(answering(1), what="write")
    assert reach.trouble is None
    assert len(caplog.records) == 2


async def test_a_question_without_an_answer_ends_in_time(clock: ManualClock) -> None:
    reach = Reach("A server", Line, errors=ERRORS, words=WORDS, clock=clock, seconds=0.02)

    with pytest.raises(Unavailable, match=r"no answer within 0\.02 s"):
        await reach.ask(waiting, what="read")

    assert reach.trouble == "A server is away: no answer within 0.02 s"


async def test_a_loop_that_was_busy_says_nothing_of_the_server(clock: ManualClock) -> None:
    reach = Reach("A server", Line, errors=ERRORS, words=WORDS, clock=clock, seconds=0.02)

    async def busy(_: Line) -> int:
        time.sleep(0.15)  # noqa: ASYNC251 - what a garbage collection, or somebody else's code, may do
        for _turn in range(20):  # an answer that has come meanwhile wants a few turns to be read
            await asyncio.sleep(0)
        return 1

    assert await reach.ask(busy, what="read") == 1
    assert reach.trouble is None


async def test_who_found_no_place_says_nothing_of_the_server(clock: ManualClock) -> None:
    reach = Reach("A server", Line, errors=ERRORS, words=WORDS, clock=clock, seconds=0.1, links=1)

    async def slow(_: Line) -> int:
        await asyncio.sleep(0.07)
        return 1

    first = asyncio.create_task(reach.ask(slow, what="read"))
    await asyncio.sleep(0)
    with pytest.raises(Crowded):
        await reach.ask(slow, what="read")

    assert await first == 1
    assert reach.trouble is None
    assert await reach.ask(answering(2), what="read") == 2  # it does not rest


async def test_who_waits_too_long_for_its_answer_does_not_call_it_crowded(clock: ManualClock) -> None:
    reach = Reach("A server", Line, errors=ERRORS, words=WORDS, clock=clock, seconds=0.02)

    with pytest.raises(Unavailable) as raised:
        await reach.ask(waiting, what="read")

    assert not isinstance(raised.value, Crowded)


async def test_a_mistake_of_ours_is_not_taken_for_an_outage(reach: Reach[Line]) -> None:
    with pytest.raises(ZeroDivisionError):
        await reach.ask(answering(ZeroDivisionError()), what="read")

    assert reach.trouble is None


async def test_nobody_is_asked_after_the_end(reach: Reach[Line]) -> None:
    await reach.ask(answering(1), what="read")
    hanging = asyncio.create_task(reach.ask(waiting, what="read"))
    await asyncio.sleep(0)

    await reach.stop()

    with pytest.raises(Unavailable):
        await hanging
    with pytest.raises(Unavailable):
        await reach.ask(answering(1), what="read")
