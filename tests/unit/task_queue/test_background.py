import asyncio
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar

import pytest
from structlog.testing import capture_logs

from adapters.task_queue.background import BackgroundTaskQueue
from ports.deliveries import Delivery
from ports.errors import Unavailable
from ports.task_queue import TaskQueue
from tests.builders import NOON, a_task
from tests.contracts.task_queue import TaskQueueContract
from tests.contracts.task_queue_outage import TaskQueueOutageContract


class TestBackgroundTaskQueue(TaskQueueContract):
    @pytest.fixture
    async def queue(self, performed: list[str]) -> AsyncIterator[TaskQueue]:
        async def perform(task: Delivery) -> None:
            performed.append(task.id)

        queue = BackgroundTaskQueue(perform)
        await queue.start()
        yield queue
        await queue.stop()

    async def let_perform(self, queue: TaskQueue, performed: Sequence[str], number: int) -> None:
        assert isinstance(queue, BackgroundTaskQueue)
        await queue.idle()
        assert len(performed) == number


class TestBackgroundTaskQueueOutage(TaskQueueOutageContract):
    @pytest.fixture
    async def queue(self, performed: list[str]) -> AsyncIterator[TaskQueue]:
        async def perform(task: Delivery) -> None:
            performed.append(task.id)

        queue = BackgroundTaskQueue(perform)
        await queue.start()
        yield queue
        await queue.stop()

    async def let_perform(self, queue: TaskQueue, performed: Sequence[str], number: int) -> None:
        assert isinstance(queue, BackgroundTaskQueue)
        await queue.idle()
        assert len(performed) == number

    async def take_away(self, queue: TaskQueue) -> None:
        await queue.stop()

    async def bring_back(self, queue: TaskQueue) -> None:
        await queue.start()


class GatedPerformer:
    """Begins each task at once and ends it when the gate is opened."""

    def __init__(self) -> None:
        self.begun: list[Delivery] = []
        self.ended: list[Delivery] = []
        self.gate = asyncio.Event()
        self.now = self.most = 0

    async def __call__(self, task: Delivery) -> None:
        self.begun.append(task)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.now -= 1
        self.ended.append(task)


async def a_moment() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_no_more_than_the_slots_are_performed_at_once_in_the_order_they_came() -> None:
    perform = GatedPerformer()
    queue = BackgroundTaskQueue(perform, slots=3)
    await queue.start()
    tasks = [a_task() for _ in range(10)]

    await queue.enqueue(tasks)
    await a_moment()

    assert perform.begun == tasks[:3]
    perform.gate.set()
    await queue.idle()
    assert (perform.begun, perform.ended, perform.most) == (tasks, tasks, 3)


async def test_what_does_not_fit_is_unavailable() -> None:
    perform = GatedPerformer()
    queue = BackgroundTaskQueue(perform, slots=1, most_waiting=2)
    await queue.start()
    tasks = [a_task() for _ in range(5)]

    outcomes = await queue.enqueue(tasks)

    assert outcomes[:3] == [None, None, None]
    assert [type(outcome) for outcome in outcomes[3:]] == [Unavailable, Unavailable]
    perform.gate.set()
    await queue.idle()
    assert perform.ended == tasks[:3]
    assert list(await queue.enqueue([a_task()])) == [None]
    await queue.stop()


async def test_nothing_is_taken_before_it_is_started() -> None:
    queue = BackgroundTaskQueue(GatedPerformer())

    (outcome,) = await queue.enqueue([a_task()])

    assert isinstance(outcome, Unavailable)


@pytest.mark.parametrize("error", [RuntimeError("the performer is broken"), asyncio.CancelledError()])
async def test_a_performer_that_fails_is_logged_and_the_queue_goes_on(error: BaseException) -> None:
    bad, good = a_task(), a_task()
    performed: list[Delivery] = []

    async def perform(task: Delivery) -> None:
        if task is bad:
            raise error
        performed.append(task)

    queue = BackgroundTaskQueue(perform, slots=1)
    await queue.start()

    with capture_logs() as lines:
        await queue.enqueue([bad, good])
        await queue.idle()

    assert performed == [good]
    assert [(line["log_level"], line["id"], line["exc_info"]) for line in lines] == [("error", bad.id, True)]


async def test_an_idle_queue_takes_up_work_again() -> None:
    """Each round ends with no worker left, whatever the moment at which the next task comes."""
    performed: list[Delivery] = []

    async def perform(task: Delivery) -> None:
        performed.append(task)

    queue = BackgroundTaskQueue(perform, slots=1)
    await queue.start()

    for rounds in range(20):
        await queue.enqueue([a_task()])
        for _ in range(rounds % 4):
            await asyncio.sleep(0)
    await queue.idle()

    assert len(performed) == 20


# --- stopping ---------------------------------------------------------------------------------------------------------


async def test_stopping_waits_for_what_is_in_hand_and_forgets_what_waits() -> None:
    perform = GatedPerformer()
    queue = BackgroundTaskQueue(perform, slots=2)
    await queue.start()
    tasks = [a_task() for _ in range(5)]
    await queue.enqueue(tasks)
    await a_moment()

    stopping = asyncio.create_task(queue.stop())
    await a_moment()
    assert not stopping.done()
    perform.gate.set()
    await stopping

    assert perform.ended == tasks[:2]
    await queue.idle()


async def test_stopping_cancels_what_does_not_end_in_time() -> None:
    perform = GatedPerformer()
    queue = BackgroundTaskQueue(perform, grace=0)
    await queue.start()
    await queue.enqueue([a_task(), a_task()])
    await a_moment()

    await queue.stop()

    assert (len(perform.begun), perform.ended, perform.now) == (2, [], 0)
    await queue.idle()


async def test_it_may_be_started_again() -> None:
    perform = GatedPerformer()
    perform.gate.set()
    queue = BackgroundTaskQueue(perform)
    await queue.start()
    await queue.stop()

    await queue.start()

    assert list(await queue.enqueue([a_task()])) == [None]
    await queue.idle()
    assert len(perform.ended) == 1


# --- what is held back until the answer is sent -----------------------------------------------------------------------


async def test_what_is_held_begins_when_it_is_released() -> None:
    perform = GatedPerformer()
    perform.gate.set()
    queue = BackgroundTaskQueue(perform)
    await queue.start()
    tasks = [a_task(), a_task()]
    held = queue.hold()

    outcomes = await queue.enqueue(tasks)
    await a_moment()

    assert (list(outcomes), list(held), perform.begun) == ([None, None], tasks, [])
    await queue.release(held)
    await queue.idle()
    assert perform.ended == tasks


async def test_what_comes_after_the_release_goes_straight_in() -> None:
    perform = GatedPerformer()
    perform.gate.set()
    queue = BackgroundTaskQueue(perform)
    await queue.start()
    await queue.release(queue.hold())
    task = a_task()

    await queue.enqueue([task])

    await queue.idle()
    assert perform.ended == [task]


async def test_only_the_request_that_holds_is_held() -> None:
    perform = GatedPerformer()
    perform.gate.set()
    queue, other_queue = BackgroundTaskQueue(perform), BackgroundTaskQueue(perform)
    await queue.start()
    await other_queue.start()
    ours, theirs, elsewhere = a_task(), a_task(), a_task()

    async def request() -> list[Delivery]:
        held = queue.hold()
        await queue.enqueue([ours])
        await other_queue.enqueue([elsewhere])
        return held

    held = await asyncio.create_task(request())
    await queue.enqueue([theirs])
    await queue.idle()
    await other_queue.idle()

    assert held == [ours]
    assert sorted(task.id for task in perform.ended) == sorted([theirs.id, elsewhere.id])


async def test_two_requests_hold_apart() -> None:
    queue = BackgroundTaskQueue(GatedPerformer())
    await queue.start()
    tasks = [a_task(), a_task()]

    async def request(task: Delivery) -> list[Delivery]:
        held = queue.hold()
        await asyncio.sleep(0)
        await queue.enqueue([task])
        return held

    assert await asyncio.gather(*(request(task) for task in tasks)) == [[tasks[0]], [tasks[1]]]


async def test_a_task_knows_nothing_of_the_request_that_enqueued_it() -> None:
    """Neither what the request has bound for its log lines, nor that it holds back what is enqueued."""
    bound: ContextVar[str] = ContextVar("bound", default="nothing")
    first, second = a_task(), a_task()
    seen: list[tuple[Delivery, str]] = []

    async def perform(task: Delivery) -> None:
        seen.append((task, bound.get()))
        if task is first:
            await queue.enqueue([second])

    queue = BackgroundTaskQueue(perform)
    await queue.start()
    bound.set("a request")
    held = queue.hold()
    await queue.enqueue([first])

    await queue.release(held)
    queue.hold()
    await queue.idle()

    assert seen == [(first, "nothing"), (second, "nothing")]


async def test_a_task_that_waits_already_keeps_its_place_in_its_newer_state() -> None:
    """Handed over again while it waits, it is performed once, and takes no second place."""
    performed: list[Delivery] = []
    gate = asyncio.Event()

    async def perform(task: Delivery) -> None:
        await gate.wait()
        performed.append(task)

    queue = BackgroundTaskQueue(perform, slots=1, most_waiting=2)
    await queue.start()
    in_hand, waiting, last = a_task(), a_task(), a_task()
    await queue.enqueue([in_hand, waiting, last])
    newer = waiting.handed_over(NOON)

    (outcome,) = await queue.enqueue([newer])
    room = queue.room()
    gate.set()
    await queue.idle()

    assert (outcome, room) == (None, 0)
    assert performed == [in_hand, newer, last]
    await queue.stop()
