"""Every error that pika may raise has its word in the port."""

import inspect
from collections.abc import Iterator

import pytest
from pika import exceptions  # type: ignore[import-untyped]
from pika.adapters.utils import connection_workflow  # type: ignore[import-untyped]

from adapters.event_broker.rabbitmq.errors import TABLE, may_be_of_one_queue, port_error, translated
from ports.errors import PortError, Rejected, Unavailable


def raised_by_pika() -> Iterator[type[BaseException]]:
    for module in (exceptions, connection_workflow):
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, Exception) and found.__module__ == module.__name__:
                yield found


@pytest.mark.parametrize("kind", list(raised_by_pika()), ids=lambda kind: kind.__name__)
def test_each_error_of_pika_has_a_row(kind: type[BaseException]) -> None:
    assert any(ancestor in TABLE for ancestor in kind.__mro__)


@pytest.mark.parametrize(
    ("error", "word", "said"),
    [
        (exceptions.ChannelClosedByBroker(406, "PRECONDITION_FAILED - other arguments"), Rejected, "other arguments"),
        (exceptions.ChannelClosedByBroker(404, "NOT_FOUND - no queue"), Unavailable, "no queue"),
        (exceptions.ChannelClosedByBroker(403, "ACCESS_REFUSED"), Unavailable, "ACCESS_REFUSED"),
        (exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED - shutdown"), Unavailable, "CONNECTION_FORCED"),
        (exceptions.ProbableAuthenticationError("refused"), Unavailable, "refused"),
        (exceptions.ShortStringTooLong(b"x"), Rejected, "x"),
        (
            exceptions.AMQPConnectionError(
                connection_workflow.AMQPConnectionWorkflowFailed(
                    [connection_workflow.AMQPConnectorSocketConnectError(ConnectionRefusedError(111, "refused by it"))]
                )
            ),
            Unavailable,
            "refused by it",
        ),
        (ConnectionResetError("reset"), Unavailable, "reset"),
        (TimeoutError(), Unavailable, "no answer in time"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_an_error_means_to_the_port(error: BaseException, word: type[PortError], said: str) -> None:
    told = port_error(error, "publishing")

    assert type(told) is word
    assert str(told).startswith("RabbitMQ, publishing: ")
    assert said in str(told)


@pytest.mark.parametrize(
    ("error", "may_be"),
    [
        (exceptions.ConnectionClosedByBroker(541, "INTERNAL_ERROR"), True),
        (TimeoutError(), True),
        (exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED - shutdown"), False),
        (exceptions.ChannelClosedByBroker(404, "NOT_FOUND - no queue"), False),
        (exceptions.StreamLostError("gone"), False),
        (None, False),
    ],
    ids=repr,
)
def test_which_errors_one_queue_without_a_leader_may_cause(error: BaseException | None, may_be: bool) -> None:
    assert may_be_of_one_queue(error) is may_be


def test_the_cause_is_kept() -> None:
    cause = exceptions.StreamLostError("gone")

    with pytest.raises(Unavailable) as told, translated("publishing"):
        raise cause

    assert told.value.__cause__ is cause


def test_what_is_no_error_of_pika_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), translated("publishing"):
        raise ZeroDivisionError
