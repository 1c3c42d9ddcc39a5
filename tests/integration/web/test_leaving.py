"""Callers that leave in the middle of a request with an Idempotency-Key, or take their time with it."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from entrypoints.server import Server
from entrypoints.web.app import create_app
from entrypoints.web.protocol import BoundedProtocol
from ports.persistence import Traffic, Write
from tests.unit.web.parts import Parts
from tests.unit.web.talk import an_order_for

SECONDS = 10  # for what is over in no time; a hang fails
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Service:
    """The web application on a socket, over a store whose commits wait while ``go_on`` is not set."""

    def __init__(self) -> None:
        self.parts = Parts()
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._commit = self.parts.store.commit
        self.parts.store.commit = self._held  # type: ignore[method-assign]

    async def _held(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        self.begun.set()
        await self.go_on.wait()
        await self._commit(writes, traffic=traffic, seconds=seconds)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        await self.parts.store.start()
        app = create_app(self.parts, operator_token=None)
        self.keys = app.state.keys_in_use
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            config = uvicorn.Config(app, http=BoundedProtocol, lifespan="off", log_config=None, access_log=False)
            self.server = Server(config)
            running = asyncio.create_task(self.server.serve(sockets=[listener]))
            user = await self.answer(await self.sent(_request("/register-user/", {"email": "ann@example.com"})))
            self.order = _request("/orders/", an_order_for(user[2]), key="k-1")
            yield
            self.server.should_exit = True
            await running
        await self.parts.store.stop()

    async def sent(self, request: bytes) -> Stream:
        """A connection on which this was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        await writer.drain()
        return reader, writer

    async def answer(self, stream: Stream) -> tuple[int, bool, Any]:
        """Status, whether it was replayed, and the document."""
        reader, writer = stream
        head, _, body = (await asyncio.wait_for(reader.read(), SECONDS)).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1]), b"idempotency-replayed: true" in head, json.loads(body)

    async def orders(self) -> int:
        head = b"GET /orders/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        return len((await self.answer(await self.sent(head)))[2]["items"])

    async def left_behind(self) -> tuple[int, int, int, int]:
        """Keys in use, requests in flight, tasks and connections of the server, once it is quiet or long after."""
        left = (-1, -1, -1, -1)
        for _ in range(SECONDS * 100):
            state = self.server.server_state
            left = (len(self.keys._running), self.parts.pace().in_flight, len(state.tasks), len(state.connections))
            if not any(left):
                break
            await asyncio.sleep(0.01)
        return left


def _request(path: str, document: Any, *, key: str | None = None) -> bytes:
    body = json.dumps(document).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: close", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *([] if key is None else [f"Idempotency-Key: {key}"]), "", ""]
    return "\r\n".join(lines).encode() + body


def leave(stream: Stream, *, abruptly: bool) -> None:
    """Close the connection, with a FIN, or with a RST as by a process that was killed."""
    if abruptly:
        connection: socket.socket = stream[1].get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream[1].transport.abort()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    async with service.serving():
        yield service


@pytest.mark.parametrize("abruptly", [False, True], ids=["closed", "reset"])
async def test_who_left_while_the_order_was_written_gets_its_answer_with_the_key(
    service: Service, abruptly: bool
) -> None:
    """It is not placed again, although nobody has read the first answer."""
    service.go_on.clear()
    service.begun.clear()
    first = await service.sent(service.order)
    await asyncio.wait_for(service.begun.wait(), SECONDS)
    leave(first, abruptly=abruptly)
    again = [await service.sent(service.order) for _ in range(3)]
    service.go_on.set()

    answers = [await service.answer(each) for each in again]

    assert [(status, replayed) for status, replayed, _ in answers] == [(201, True)] * 3
    assert len({document["id"] for _, _, document in answers}) == 1
    assert await service.orders() == 1
    assert await service.left_behind() == (0, 0, 0, 0)


async def test_a_hundred_that_leave_hold_nothing_and_the_last_one_is_answered(service: Service) -> None:
    service.go_on.clear()
    for number in range(100):
        leave(await service.sent(service.order), abruptly=bool(number % 2))
    last = await service.sent(service.order)
    service.go_on.set()

    status, _, _ = await service.answer(last)

    assert status == 201
    assert await service.orders() == 1
    assert await service.left_behind() == (0, 0, 0, 0)


async def test_a_body_that_takes_its_time_keeps_no_key_from_the_others(service: Service) -> None:
    """Until it is there nothing is done for it; then it is answered like whoever was quicker."""
    slow = await service.sent(service.order[:-10])

    quick = await service.answer(await service.sent(service.order))
    slow[1].write(service.order[-10:])
    late = await service.answer(slow)

    assert (quick[:2], late[:2]) == ((201, False), (201, True))
    assert quick[2] == late[2]
    assert await service.left_behind() == (0, 0, 0, 0)


async def test_who_left_within_its_body_has_done_nothing_and_the_key_is_free(service: Service) -> None:
    leave(await service.sent(service.order[:-10]), abruptly=True)
    none = await service.orders()

    answer = await service.answer(await service.sent(service.order))

    assert none == 0
    assert answer[:2] == (201, False)
    assert await service.orders() == 1
    assert await service.left_behind() == (0, 0, 0, 0)
