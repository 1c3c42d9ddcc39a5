import asyncio
import ssl
from collections.abc import Iterator

import pytest
from aiokafka import errors as kafka  # type: ignore[import-untyped]

from adapters.event_broker.kafka.errors import ERRORS, kafka_errors, port_error
from ports.errors import Rejected, Unavailable


def exceptions_of_aiokafka() -> Iterator[type[Exception]]:
    for each in vars(kafka).values():
        if isinstance(each, type) and issubclass(each, Exception) and each.__module__ == kafka.__name__:
            yield each


def test_every_exception_of_aiokafka_has_its_row() -> None:
    """One that is new in an upgrade is decided about, not guessed."""
    assert {each.__name__ for each in exceptions_of_aiokafka() if each not in ERRORS} == set()


@pytest.mark.parametrize(
    "error",
    [
        kafka.TopicAuthorizationFailedError(),
        kafka.SaslAuthenticationFailed(),
        kafka.NotEnoughReplicasError(),
        kafka.UnknownTopicOrPartitionError(),
        kafka.OutOfOrderSequenceNumber(),
        kafka.CorruptRecordException(),
        ssl.SSLCertVerificationError(),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_can_be_cured_without_the_message_kills_no_message(error: Exception) -> None:
    assert isinstance(port_error(error, "publishing"), Unavailable)


@pytest.mark.parametrize("error", [kafka.MessageSizeTooLargeError(), kafka.RecordListTooLargeError()], ids=repr)
def test_what_is_too_large_is_rejected(error: Exception) -> None:
    assert isinstance(port_error(error, "publishing"), Rejected)


def test_a_code_that_aiokafka_does_not_know_is_unavailable() -> None:
    assert isinstance(port_error(kafka.for_code(9999)(), "publishing"), Unavailable)


def test_an_error_tells_what_was_done_and_what_to_look_at() -> None:
    error = port_error(kafka.TopicAuthorizationFailedError("order_events"), "declaring topics")

    assert "declaring topics" in str(error)
    assert "order_events" in str(error)
    assert "Create" in str(error)


async def test_the_cause_is_chained() -> None:
    cause = kafka.NodeNotReadyError("node 1")

    with pytest.raises(Unavailable) as caught:
        async with kafka_errors("publishing"):
            raise cause

    assert caught.value.__cause__ is cause


async def test_an_overrun_is_unavailable_and_says_how_long_it_was() -> None:
    with pytest.raises(Unavailable, match=r"within 0\.01 s"):
        async with kafka_errors("publishing", seconds=0.01):
            await asyncio.Event().wait()


async def test_an_error_of_the_port_stays_what_it_is() -> None:
    error = Rejected("too large")

    with pytest.raises(Rejected) as caught:
        async with kafka_errors("publishing"):
            raise error

    assert caught.value is error


async def test_what_is_not_aiokafkas_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        async with kafka_errors("publishing"):
            raise ZeroDivisionError


async def test_a_cancellation_stays_one() -> None:
    with pytest.raises(asyncio.CancelledError):
        async with kafka_errors("publishing", seconds=10):
            raise asyncio.CancelledError
