"""Whom Celery's brokers are believed to be."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.task_queue.celery import CeleryTaskQueue
from ports.errors import Unavailable
from tests.builders import a_task
from tests.certificates import Authority
from tests.services import need
from tools.services import addresses

PASSWORD = "canary-7f3a"


class Listener:
    """A server with a certificate that nobody vouches for, which notes what it is told."""

    def __init__(self) -> None:
        self.heard = b""
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Listener"]:
        """Listen on a port of its own."""
        server = await asyncio.start_server(self._note, "127.0.0.1", 0, ssl=Authority().server())
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _note(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard += await reader.read(1_000)
        except ssl.SSLError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("scheme", ["rediss", "amqps"])
async def test_an_impostor_is_told_no_password(scheme: str) -> None:
    async with Listener().listening() as impostor:
        queue = CeleryTaskQueue(f"{scheme}://crossdock:{PASSWORD}@127.0.0.1:{impostor.port}/0", queue="test-tls")
        await queue.start()

        (outcome,) = await queue.enqueue([a_task()])

        await queue.stop()
    assert isinstance(outcome, Unavailable)
    assert PASSWORD.encode() not in impostor.heard


async def test_a_broker_is_believed_that_an_authority_of_ones_own_vouches_for() -> None:
    need("rabbitmq")
    queue = CeleryTaskQueue(addresses.RABBITMQ_SECURE, queue="test-tls", ca_file=Path(addresses.CA_FILE))
    await queue.start()

    outcomes = await queue.enqueue([a_task()])

    await queue.stop()
    assert list(outcomes) == [None] or "NO_ROUTE" in str(outcomes[0])  # nobody has made the queue
