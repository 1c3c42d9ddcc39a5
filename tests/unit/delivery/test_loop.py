import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from domain.delivery.loop import Loop
from domain.delivery.pace import MANY, REST_LEAST, Pace
from ports.errors import Unavailable, Unknown
from tests.clock import ManualClock

Outcome = bool | BaseException


class Steps:
    """Answers each step with the next outcome, then with "nothing to do", and notes when it was asked."""

    def __init__(self, clock: ManualClock, *outcomes: Outcome) -> None:
        self._clock = clock
        self._outcomes = deque(outcomes)
        self.at: list[float] = []
        self.during: Callable[[], None] = lambda: None

    async def __call__(self) -> bool:
        self.at.append(self._clock.monotonic())
        self.during()
        outcome = self._outcomes.popleft() if self._outcomes else False
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@asynccontextmanager
async def running(loop: Loop) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(loop.run())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_goes_on_at_once_while_there_is_more_to_do(clock: ManualClock) -> None:
    steps = Steps(clock, True, True, True)

    async with running(Loop("test", steps, clock)):
        await clock.settle()

    assert steps.at == [0, 0, 0, 0]


async def test_it_looks_again_after_a_second_when_nobody_wakes_it(clock: ManualClock) -> None:
    steps = Steps(clock)

    async with running(Loop("test", steps, clock)):
        await clock.advance(2.5)

    assert steps.at == [0, 1, 2]


async def test_it_wakes_at_once(clock: ManualClock) -> None:
    steps = Steps(clock)
    loop = Loop("test", steps, clock)

    async with running(loop):
        await clock.advance(0.5)
        loop.wake()
        await clock.settle()

    assert steps.at == [0, 0.5]


async def test_a_wake_that_comes_while_it_steps_is_not_lost(clock: ManualClock) -> None:
    """What is recorded after the step has looked and before it ends is carried at once."""
    steps = Steps(clock)
    loop = Loop("test", steps, clock)
    steps.during = lambda: loop.wake() if len(steps.at) == 1 else None

    async with running(loop):
        await clock.settle()

    assert steps.at == [0, 0]


async def test_a_wake_that_comes_while_it_backs_off_is_not_lost(clock: ManualClock) -> None:
    steps = Steps(clock, Unavailable("away"))
    loop = Loop("test", steps, clock, poll_seconds=100)

    async with running(loop):
        await clock.settle()
        loop.wake()
        await clock.advance(1)

    assert len(steps.at) == 2


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable("away"),
        Unavailable("away", retry_after=3_600),
        Unknown("perhaps"),
        ValueError("bug"),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_it_never_ends_by_itself_and_backs_off_ten_seconds_at_most(
    clock: ManualClock, failure: Exception
) -> None:
    steps = Steps(clock, *[failure] * 30)
    loop = Loop("test", steps, clock)

    async with running(loop) as task:
        await clock.advance(300)
        assert not task.done()

    pauses = [later - earlier for earlier, later in zip(steps.at, steps.at[1:], strict=False)][:30]
    assert len(pauses) == 30
    assert max(pauses) <= 10
    assert pauses[8] >= 5


async def test_a_cancellation_that_nobody_asked_for_does_not_end_it(clock: ManualClock) -> None:
    """As when a driver cancels what a step awaits."""
    steps = Steps(clock, asyncio.CancelledError())

    async with running(Loop("test", steps, clock)) as task:
        await clock.advance(1)

        assert not task.done()
    assert len(steps.at) > 1


async def test_it_ends_when_it_is_cancelled_wherever_it_is(clock: ManualClock) -> None:
    for outcomes in ([], [Unavailable("away")], [ValueError("a bug")]):
        loop = Loop("test", Steps(clock, *outcomes), clock)
        async with running(loop) as task:
            await clock.settle()

            task.cancel()
            await clock.settle()

            assert task.cancelled()


async def test_it_says_why_the_latest_step_failed_until_one_succeeds(clock: ManualClock) -> None:
    steps = Steps(clock, Unavailable("the broker is away"), ValueError("secret: 123"))
    loop = Loop("test", steps, clock)
    told = []

    async with running(loop):
        for seconds in (0, 0.11, 0.5):
            await clock.advance(seconds)
            told.append(loop.trouble)

    assert told == ["the broker is away", "ValueError: see the log", None]


async def test_it_rests_between_two_busy_steps_while_many_requests_are_in_flight(clock: ManualClock) -> None:
    pace = Pace(clock)
    pace.in_flight = MANY
    steps = Steps(clock, True, True)

    async with running(Loop("test", steps, clock, pace=pace)):
        await clock.advance(REST_LEAST * 1.2)
        pace.in_flight = 0
        await clock.advance(REST_LEAST * 1.2)

    first, second, third = steps.at[:3]
    assert (first, second) == (0, REST_LEAST)
    assert third == pytest.approx(2 * REST_LEAST)


async def test_an_outage_is_two_lines_however_many_steps_fail(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crossdock")
    steps = Steps(clock, *[Unavailable(f"no answer, {number} wait") for number in range(30)])

    async with running(Loop("test", steps, clock)):
        await clock.advance(400)

    began, ended = (record.getMessage() for record in caplog.records)
    assert began == "test waits: no answer, 0 wait"
    assert ended.startswith("test goes on, after 30 failed attempts")
