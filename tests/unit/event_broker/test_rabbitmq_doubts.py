"""What RabbitMQ's publisher does about a queue that may not answer, without a server."""

import asyncio
import logging

import pytest

from adapters.event_broker.rabbitmq.connection import Connection
from adapters.event_broker.rabbitmq.line import Address, Line
from adapters.event_broker.rabbitmq.publisher import Publisher, _Batch, _Doubt
from adapters.event_broker.rabbitmq.topology import Topology
from ports.errors import Unavailable
from tests.builders import a_message

TOPOLOGY = Topology("", 1)


class BrokenLine(Line):
    """Fails in a way that nobody foresaw."""

    def __init__(self) -> None:
        super().__init__(Address("amqp://localhost", ca_file=None, certificate_file=None, key_file=None), "asking")
        self.asked = asyncio.Event()

    async def connection(self, *, seconds: float) -> Connection:  # noqa: ARG002 - the line's
        self.asked.set()
        raise RuntimeError("a bug in a driver")


async def test_an_error_that_nobody_foresaw_while_a_queue_is_asked_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for the answer, so nobody else would see it; the queue is asked again with the next message."""
    line, message = BrokenLine(), a_message(topic="order_events", subject="a")
    publisher = Publisher(line, line, TOPOLOGY)
    key = TOPOLOGY.routing_key("order_events", 0)
    publisher._doubts[key] = _Doubt(key)

    for _ in range(2):
        line.asked.clear()
        batch = _Batch(1)
        assert not list(publisher._letters(batch, [message], 1_000))
        async with asyncio.timeout(10):
            await line.asked.wait()
        await asyncio.sleep(0)

    assert isinstance(batch.told()[0], Unavailable)
    (told,) = caplog.records
    assert (told.name, told.levelno) == ("crossdock.event_broker", logging.ERROR)
    assert told.exc_info is not None
    assert str(told.exc_info[1]) == "a bug in a driver"
