"""What reaches the server before there is a request: too much of it, too slowly, or no HTTP at all."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from fastapi import FastAPI, Request

from entrypoints.server import Server
from entrypoints.web import protocol
from entrypoints.web.protocol import HEAD_MOST, BoundedProtocol


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = FastAPI()

    @app.get("/livez")
    async def livez() -> str:
        return "alive"

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=BoundedProtocol, lifespan="off", log_config=None, access_log=False)
        server = Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def problem_in(answer: bytes) -> tuple[str, str]:
    """Status line and code; fails unless it is a problem document with a request id."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    document = json.loads(body)
    assert document["request_id"].encode() in head
    return head.partition(b"\r\n")[0].decode(), document["code"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"hello\r\n\r\n",
        b"FOO /livez HTTP/3.0\r\n\r\n",
        b"FOO /livez\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n",
    ],
    ids=["TLS", "no HTTP", "another HTTP", "none in particular", "a broken header"],
)
async def test_what_is_no_http_request_is_a_problem_like_any_other(port: int, garbage: bytes) -> None:
    assert problem_in(await answer_to(port, garbage)) == ("HTTP/1.1 400 Bad Request", "malformed-request")


@pytest.mark.parametrize("method", [b"FOO", b"get", b"GETS", b"M-SEARCHES"])
async def test_a_method_that_nobody_has_heard_of_is_not_implemented(port: int, method: bytes) -> None:
    """RFC 9110 §15.6.2; one that is registered and not known here is a 405 of the application, with Allow."""
    answer = await answer_to(port, method + b" /livez HTTP/1.1\r\nHost: x\r\n\r\n")

    assert problem_in(answer) == ("HTTP/1.1 501 Not Implemented", "method-not-implemented")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * HEAD_MOST,
        b"GET /livez HTTP/1.1\r\n" + b"X-A: a\r\n" * (HEAD_MOST // 8),
        b"GET /" + b"a" * HEAD_MOST + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["one header", "many headers", "path"],
)
async def test_a_head_that_is_too_large_is_refused_before_it_has_come(port: int, head: bytes) -> None:
    """Else one connection makes everybody wait: an endless header is collected in quadratic time."""
    assert problem_in(await answer_to(port, head)) == (
        "HTTP/1.1 431 Request Header Fields Too Large",
        "headers-too-large",
    )


async def test_a_head_at_the_limit_is_served_however_it_is_cut(port: int) -> None:
    start, end = b"GET /livez HTTP/1.1\r\nConnection: close\r\nX-A: ", b"\r\n\r\n"
    head = start + b"a" * (HEAD_MOST - len(start)) + end

    for cut in (len(head), len(head) - 3, len(head) - 1, 10):
        assert (await answer_to(port, head[:cut], head[cut:])).startswith(b"HTTP/1.1 200")


async def test_a_body_does_not_count_as_head(port: int) -> None:
    body = b"x" * (HEAD_MOST * 3)
    request = b"POST /size HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)

    assert (await answer_to(port, request + body)).endswith(b"\r\n\r\n%d" % len(body))


async def test_many_requests_on_one_connection_are_each_measured_alone(port: int) -> None:
    one = b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * (HEAD_MOST // 2) + b"\r\n\r\n"
    last = b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n"

    answer = await answer_to(port, one, one, one, one, last)

    assert answer.count(b"HTTP/1.1 200") == 5


async def test_a_head_that_dribbles_is_refused_when_its_time_is_over(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)

    answer = await answer_to(port, b"GET /livez HT")

    assert problem_in(answer) == ("HTTP/1.1 408 Request Timeout", "request-timeout")


@pytest.mark.parametrize("path", [b"/nothing", b"/size"])
async def test_a_body_that_dribbles_does_not_keep_its_connection_for_ever(
    port: int, monkeypatch: pytest.MonkeyPatch, path: bytes
) -> None:
    """Also one that nobody reads: each byte of it would start the clock of idle connections anew."""
    monkeypatch.setattr(protocol, "MESSAGE_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % path)

    async def dribble() -> None:
        while not writer.is_closing():
            writer.write(b"1\r\nx\r\n")
            await asyncio.sleep(0.01)

    dribbling = asyncio.create_task(dribble())
    try:
        async with asyncio.timeout(10):
            while await reader.read(65_536):
                pass
    except ConnectionError:
        pass
    finally:
        dribbling.cancel()
        writer.close()


async def test_a_connection_is_kept_after_a_body_that_came_in_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MESSAGE_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(b"POST /size HTTP/1.1\r\nContent-Length: 2\r\n\r\nx")
        await writer.drain()
        writer.write(b"x")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n2"), 10)).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.1)
    writer.close()


async def test_what_is_refused_before_there_is_a_request_tells_browsers_to_be_careful_too(port: int) -> None:
    head, _, _ = (await answer_to(port, b"hello\r\n\r\n")).partition(b"\r\n\r\n")

    for name in (b"x-content-type-options", b"content-security-policy", b"referrer-policy", b"cache-control"):
        assert head.count(b"\r\n" + name + b": ") == 1


async def test_a_connection_that_asks_for_nothing_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)

    assert await answer_to(port) == b""
