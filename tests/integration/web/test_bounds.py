"""Bounds on callers, as they are met on a socket."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import uvicorn

from adapters.clock import SystemClock
from adapters.rate_limit.memory import MemoryRateLimit
from entrypoints.server import Server
from entrypoints.web import bodies
from entrypoints.web.app import create_app
from entrypoints.web.edge_options import EdgeOptions
from entrypoints.web.protocol import BoundedProtocol
from tests.unit.web.parts import Parts

Serving = Callable[[EdgeOptions], AbstractAsyncContextManager[int]]
DRIBBLE = b"POST /orders/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    parts = Parts()
    await parts.store.start()

    @asynccontextmanager
    async def serve(edge: EdgeOptions) -> AsyncIterator[int]:
        app = create_app(parts, operator_token=None, edge=edge)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(
                app, http=BoundedProtocol, lifespan="off", log_config=None, access_log=False, proxy_headers=False
            )
            server = Server(config)
            running = asyncio.create_task(server.serve(sockets=[listener]))
            yield listener.getsockname()[1]
            server.should_exit = True
            await running

    yield serve
    await parts.store.stop()


def get(path: str, *headers: str) -> bytes:
    """A request that is the last of its connection."""
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", "")).encode()


async def answer_to(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


async def test_a_caller_that_asks_too_often_is_told_so_on_every_connection(serving: Serving) -> None:
    limit = MemoryRateLimit(5, 60, clock=SystemClock())
    async with serving(EdgeOptions(rate_limit=limit)) as port:
        answers = await asyncio.gather(*(answer_to(port, get("/orders/")) for _ in range(20)))
        probe, told, _ = await answer_to(port, get("/livez"))
        forged, _, _ = await answer_to(port, get("/orders/", "X-Forwarded-For: 203.0.113.9"))

    statuses = [status for status, _, _ in answers]
    assert (statuses.count(200), statuses.count(429)) == (5, 15)
    assert sorted(headers["ratelimit"].partition(";t=")[0] for status, headers, _ in answers if status == 200) == [
        f'"caller";r={left}' for left in range(5)
    ]
    for status, headers, body in answers:
        if status == 429:
            assert json.loads(body)["code"] == "rate-limited"
            assert 1 <= int(headers["retry-after"]) <= 60
    assert (probe, "ratelimit" in told) == (200, False)
    assert forged == 429


async def test_a_body_that_does_not_come_is_a_problem(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.1)
    async with serving(EdgeOptions()) as port:
        status, headers, body = await answer_to(port, DRIBBLE)

    assert (status, json.loads(body)["code"]) == (408, "request-timeout")
    assert headers["connection"] == "close"


async def test_a_body_without_end_is_a_problem(serving: Serving) -> None:
    start = b"POST /orders/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(EdgeOptions()) as port:
        status, headers, body = await answer_to(
            port, start + b"10000\r\n" + b" " * 0x10000 + b"\r\n" + b"50000\r\n" + b" " * 0x40000
        )

    assert (status, json.loads(body)["code"]) == (413, "content-too-large")
    assert headers["connection"] == "close"


async def test_reading_over_a_socket_is_as_it_is_said(serving: Serving) -> None:
    body = b'{"email": "ann@example.com"}'
    post = b"POST /register-user/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    post += b"Content-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n\r\n"
    async with serving(EdgeOptions()) as port:
        _, created, _ = await answer_to(port, post % len(body) + body)
        path = created["location"]
        _, first, whole = await answer_to(port, get(path))
        unchanged, again, nothing = await answer_to(port, get(path, f"If-None-Match: {first['etag']}"))
        headed, head, no_body = await answer_to(port, get(path).replace(b"GET", b"HEAD", 1))
        options, allowed, _ = await answer_to(port, get(path).replace(b"GET", b"OPTIONS", 1))
        everything, _, _ = await answer_to(port, get("*").replace(b"GET", b"OPTIONS", 1))

    assert (unchanged, again["etag"], nothing) == (304, first["etag"], b"")
    assert (headed, no_body, head["content-length"]) == (200, b"", str(len(whole)))
    assert (options, allowed["allow"]) == (204, "get, head, options")
    assert everything < 500


async def test_many_that_dribble_keep_nobody_out(serving: Serving) -> None:
    """Ten times as many as may be worked on at once have sent the beginning of a body."""
    async with serving(EdgeOptions(in_flight_most=5)) as port:
        dribbling = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for _, writer in dribbling:
            writer.write(DRIBBLE)
            await writer.drain()
        statuses = [(await answer_to(port, get("/orders/")))[0] for _ in range(5)]
        for _, writer in dribbling:
            writer.close()

    assert statuses == [200] * 5
