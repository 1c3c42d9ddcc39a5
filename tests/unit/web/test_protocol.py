"""A connection without a socket: what comes together and what comes apart is in the hand of the test."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from entrypoints.web.protocol import BoundedProtocol

GOOD = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
UNKNOWN = b"FOO /livez HTTP/1.1\r\nHost: x\r\n\r\n"
NOT_IMPLEMENTED = "HTTP/1.1 501 Not Implemented"
MALFORMED = "HTTP/1.1 400 Bad Request"


class Wire(asyncio.Transport):
    """The other end of a connection: keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self._written = b""
        self._is_closed = False

    @property
    def status_line(self) -> str:
        """Of what came back, empty while nothing did."""
        return self._written.partition(b"\r\n")[0].decode()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._written += data

    def close(self) -> None:
        self._is_closed = True

    def is_closing(self) -> bool:
        return self._is_closed


async def _application(_scope: Any, _receive: Any, _send: Any) -> None:
    """Has not answered when the next piece comes."""


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
async def protocol(wire: Wire) -> AsyncIterator[BoundedProtocol]:
    config = uvicorn.Config(_application, lifespan="off", log_config=None, access_log=False)
    protocol = BoundedProtocol(config, ServerState(), {})
    protocol.connection_made(wire)
    yield protocol
    await asyncio.sleep(0)  # for the application to begin with what it was given
    protocol.connection_lost(None)


@pytest.mark.parametrize("cut", range(1, UNKNOWN.index(b"\r\n") + 3))
async def test_a_method_nobody_has_heard_of_is_not_implemented_wherever_its_line_is_cut(
    protocol: BoundedProtocol, wire: Wire, cut: int
) -> None:
    protocol.data_received(UNKNOWN[:cut])
    protocol.data_received(UNKNOWN[cut:])

    assert wire.status_line == NOT_IMPLEMENTED


async def test_a_method_nobody_has_heard_of_is_not_implemented_byte_by_byte(
    protocol: BoundedProtocol, wire: Wire
) -> None:
    for byte in b"GETS /livez HTTP/1.1\r\n":
        assert not wire.status_line
        protocol.data_received(bytes([byte]))

    assert wire.status_line == NOT_IMPLEMENTED


@pytest.mark.parametrize("piece", [b"FOO\x00", b"FOO /a b", b"FOO / HTTP/3", b"\x16\x03\x01"])
async def test_what_cannot_become_a_request_any_more_is_refused_at_once(
    protocol: BoundedProtocol, wire: Wire, piece: bytes
) -> None:
    protocol.data_received(b"FO" if piece.startswith(b"FO") else b"")
    protocol.data_received(piece.removeprefix(b"FO"))

    assert wire.status_line == MALFORMED


async def test_a_line_without_end_of_an_unknown_method_is_bounded(protocol: BoundedProtocol, wire: Wire) -> None:
    protocol.data_received(b"FOO /")
    protocol.data_received(b"a" * 10_000)

    assert wire.status_line == MALFORMED


@pytest.mark.parametrize("garbage", [b"hello\r\n\r\n", b"\x16\x03\x01\x02", b"FOO\r\n"])
async def test_garbage_behind_a_good_request_is_malformed(
    protocol: BoundedProtocol, wire: Wire, garbage: bytes
) -> None:
    """The line of the good request says nothing about what follows it."""
    protocol.data_received(GOOD + garbage)

    assert wire.status_line == MALFORMED


async def test_a_connection_that_waits_keeps_nothing_of_its_last_request(protocol: BoundedProtocol) -> None:
    body = b"x" * 50_000

    protocol.data_received(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
    protocol.data_received(body)

    assert kept_by(protocol) < 100


async def test_a_connection_keeps_no_headers_besides_the_parser(protocol: BoundedProtocol) -> None:
    protocol.data_received(b"GET /livez HTTP/1.1\r\nX-A: ")
    protocol.data_received(b"a" * 50_000)

    assert kept_by(protocol) < 100


def kept_by(protocol: BoundedProtocol) -> int:
    """How many bytes it holds itself."""
    return sum(len(value) for value in vars(protocol).values() if isinstance(value, bytes | bytearray))
