"""What needs no broker: how tasks are put into messages, and the table of errors."""

import inspect
from types import ModuleType

import amqp.exceptions  # type: ignore[import-untyped]
import celery.exceptions  # type: ignore[import-untyped]
import kombu.exceptions
import pytest
import redis.exceptions

from adapters.task_queue.celery import IN_ONE_MESSAGE_MOST, CeleryTaskQueue, port_error, spread
from ports.errors import Rejected, Unavailable
from tests.builders import a_task

MODULES = [kombu.exceptions, amqp.exceptions, redis.exceptions, celery.exceptions]
EXCEPTIONS = [
    kind
    for module in MODULES
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if kind.__module__ == module.__name__ and issubclass(kind, Exception) and not issubclass(kind, Warning)
]


# --- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "sizes"),
    [
        (1, [1]),
        (7, [1] * 7),
        (16, [2] * 8),
        (100, [12] * 8 + [4]),
        (200, [16] * 12 + [8]),
    ],
)
def test_a_small_batch_is_spread_over_workers_and_a_large_one_travels_in_few_messages(
    number: int, sizes: list[int]
) -> None:
    tasks = [a_task() for _ in range(number)]

    messages = spread(tasks)

    assert [len(message) for message in messages] == sizes
    assert [task for message in messages for task in message] == tasks
    assert max(sizes) <= IN_ONE_MESSAGE_MOST


def test_what_failed_before_travels_alone() -> None:
    """It may end the process that performs it, and nobody else shall pay for that."""
    fresh, failed = [a_task() for _ in range(50)], [a_task(attempts=attempts) for attempts in (1, 7)]

    messages = spread([failed[0], *fresh, failed[1]])

    assert [message for message in messages if len(message) == 1] == [[failed[0]], [failed[1]]]
    assert sum(map(len, messages)) == 52


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_the_libraries_has_a_row(kind: type[Exception]) -> None:
    """A broker that does not take ids will another day: only what cannot be written never will."""
    expected = Rejected if issubclass(kind, kombu.exceptions.SerializationError) else Unavailable

    assert port_error(kind.__new__(kind)) is expected


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_walk_over_the_libraries_has_seen_what_it_should(module: ModuleType) -> None:
    assert any(kind.__module__ == module.__name__ for kind in EXCEPTIONS)


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), BrokenPipeError(), UnicodeError()])
def test_what_the_network_does_is_unavailable(error: Exception) -> None:
    assert port_error(error) is Unavailable


# --- before and after -------------------------------------------------------------------------------------------------


async def test_nothing_is_taken_before_it_is_started() -> None:
    queue = CeleryTaskQueue("redis://127.0.0.1:1/0")

    (outcome,) = await queue.enqueue([a_task()])

    assert isinstance(outcome, Unavailable)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_a_broker_that_is_not_there_is_unavailable_and_its_password_not_told(scheme: str) -> None:
    queue = CeleryTaskQueue(f"{scheme}://user:canary-5f3a9c@127.0.0.1:1/0")
    await queue.start()

    outcomes = await queue.enqueue([a_task(), a_task(), a_task(attempts=1)])

    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert all(f"{scheme}://127.0.0.1:1" in str(outcome) for outcome in outcomes)
    assert "canary" not in f"{outcomes!r} {queue!r}"
    await queue.stop()


async def test_it_may_be_stopped_without_having_been_used() -> None:
    queue = CeleryTaskQueue("redis://127.0.0.1:1/0")
    await queue.start()

    await queue.stop()
    await queue.stop()
