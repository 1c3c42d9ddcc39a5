"""The contract of task queues catches each liar, by a case that an honest queue passes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest

from adapters.task_queue.memory import MemoryTaskQueue
from ports.deliveries import Delivery
from ports.task_queue import TaskQueue
from tests.contracts.task_queue import TaskQueueCases, TaskQueueContract
from tests.contracts.task_queue_outage import TaskQueueOutageContract
from tests.unit.zoo import task_queues as zoo
from tests.unit.zoo.judge import HANG, Fixtures, case_of, failure, started

CAUGHT: dict[type[zoo.LyingTaskQueue], str] = {
    zoo.NeverPerforms: "test_what_was_handed_over_is_performed",
    zoo.LosesEveryFiftieth: "test_a_large_batch_is_handed_over_whole",
    zoo.LosesWhatComesMeanwhile: "test_many_may_enqueue_at_once",
    zoo.PerformsAnother: "test_what_was_handed_over_is_performed",
    zoo.TakesATaskOnce: "test_the_same_task_may_be_handed_over_again",
    zoo.AnswersOnceForTheBatch: "test_each_task_has_its_own_outcome",
    zoo.WantsSomethingToHandOver: "test_nothing_becomes_of_no_tasks",
    zoo.HasNoRoom: "test_there_is_room_in_a_queue_that_is_empty",
    zoo.HoldsItsLockWhenCancelled: "test_who_stops_waiting_for_an_outcome_disturbs_nobody",
    zoo.StopsWithPeopleWaiting: "test_stopping_leaves_nobody_waiting",
    zoo.StopsOnce: "test_a_stopped_queue_is_unavailable",
    zoo.RejectsWhatIsMerelyUnavailable: "test_a_stopped_queue_is_unavailable",
    zoo.ReportsSuccessWhenItIsDown: "test_what_is_handed_over_meanwhile_is_unavailable_in_time",
    zoo.RaisesInsteadOfAnswering: "test_what_is_handed_over_meanwhile_is_unavailable_in_time",
    zoo.HangsWhenItIsDown: "test_what_is_handed_over_meanwhile_is_unavailable_in_time",
    zoo.HangsInStopWhenItIsDown: "test_stopping_meanwhile_ends_in_time",
    zoo.NeverReconnects: "test_handing_over_goes_on_by_itself",
    zoo.KeepsItsFirstConnection: "test_a_queue_that_was_never_used_before_the_outage_works_after_it",
    zoo.FailsToStartWithoutAServer: "test_it_starts_without_a_server_and_works_when_there_is_one",
}


class _Hooks(TaskQueueCases):
    """What an adapter's test class fills, for honest and lying queues alike."""

    async def let_perform(self, queue: TaskQueue, performed: Sequence[str], number: int) -> None:
        honest = queue.honest if isinstance(queue, zoo.LyingTaskQueue) else queue
        assert isinstance(honest, MemoryTaskQueue)
        await honest.perform_all()
        assert len(performed) == number


class Contract(_Hooks, TaskQueueContract):
    pass


class Outage(_Hooks, TaskQueueOutageContract):
    async def take_away(self, queue: TaskQueue) -> None:
        await (queue.crash() if isinstance(queue, zoo.LyingTaskQueue) else queue.stop())

    async def bring_back(self, queue: TaskQueue) -> None:
        await (queue.recover() if isinstance(queue, zoo.LyingTaskQueue) else queue.start())


class ImpatientContract(Contract):
    patience = 0.1


class ImpatientOutage(Outage):
    patience = in_time = 0.1


@asynccontextmanager
async def stage(wrap: Callable[[MemoryTaskQueue], TaskQueue]) -> AsyncIterator[Fixtures]:
    performed: list[str] = []

    async def perform(task: Delivery) -> None:
        performed.append(task.id)

    async with started(wrap(MemoryTaskQueue(perform))) as queue:
        yield {"queue": queue, "performed": performed}


def honest_case(name: str) -> Callable[..., Awaitable[None]]:
    return case_of(name, Contract(), Outage())


@pytest.mark.parametrize(("liar", "name"), CAUGHT.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_liar_is_caught(liar: type[zoo.LyingTaskQueue], name: str) -> None:
    case = case_of(name, ImpatientContract(), ImpatientOutage())

    assert failure(case, partial(stage, liar), seconds=HANG), f"{liar.__name__} passes {name}"


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_an_honest_queue_passes_what_a_liar_fails(name: str) -> None:
    def honest() -> AbstractAsyncContextManager[Fixtures]:
        return stage(lambda queue: queue)

    assert failure(honest_case(name), honest, seconds=30) is None


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_who_only_passes_on_passes_too(name: str) -> None:
    """So it is the lie that is caught, and not the wrapping."""
    assert failure(honest_case(name), partial(stage, zoo.LyingTaskQueue), seconds=30) is None


def test_every_liar_is_in_the_table() -> None:
    liars = {liar for liar in vars(zoo).values() if isinstance(liar, type) and issubclass(liar, zoo.LyingTaskQueue)}

    assert liars - {zoo.LyingTaskQueue} == set(CAUGHT)
