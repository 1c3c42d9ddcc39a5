"""The service without sockets: requests are put into its HTTP protocol one by one, and what they take is told.

On standard input come lines of a number, on standard output goes for each the seconds of processor time, of all
threads, that so many requests have taken, with everything that followed from them.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import cycle
from types import SimpleNamespace
from typing import Any, cast

import uvloop
from fastapi import FastAPI
from uvicorn.server import ServerState

from bench.prepared import order_reads, order_requests, post
from entrypoints.container import Container, build
from entrypoints.edge import edge_options
from entrypoints.observability import configure_logging, speak_as
from entrypoints.roles import Role
from entrypoints.server import make_server
from entrypoints.settings import Settings
from entrypoints.startup import pipeline, spare_the_collector, started
from entrypoints.web import middleware
from entrypoints.web.app import create_app
from entrypoints.web.middleware import Edge
from entrypoints.web.protocol import BoundedProtocol

ORDERS = 200
_POLLS_MOST = 100_000


class _Wire(asyncio.Transport):
    """A connection to nobody: what is written is kept until the next request."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 80)})
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return

    def close(self) -> None:
        raise RuntimeError(b"".join(self.written).decode())


class _Answering(BoundedProtocol):
    answered: asyncio.Event

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.answered.set()


class Connection:
    """Asks the app as a socket would."""

    def __init__(self, app: FastAPI) -> None:
        config = make_server(app, grace=1).config
        config.load()
        self._wire = _Wire()
        self._protocol = _Answering(config, ServerState(), {})
        self._protocol.answered = asyncio.Event()
        self._protocol.connection_made(self._wire)

    async def ask(self, request: bytes, expected: bytes) -> bytes:
        """The answer to it, head and body."""
        self._wire.written.clear()
        self._protocol.answered.clear()
        self._protocol.data_received(request)
        await self._protocol.answered.wait()
        answer = b"".join(self._wire.written)
        if not answer.startswith(b"HTTP/1.1 " + expected):
            raise RuntimeError(answer.decode())
        return answer


async def _measure(container: Container, path: str, *, observed: bool) -> None:
    app = create_app(container, operator_token=None, tracing=container.tracing(), edge=edge_options(container))
    if not observed:
        _observe_nothing(app)
    # What carries events works by the clock as well: beside requests that are looked at alone it would only be a noise.
    carrying = pipeline(container, Role.UP) if path == "write" else nullcontext()
    async with started(container, Role.UP), carrying:
        connection = Connection(app)
        users = await _users(connection)
        writes = cycle(order_requests(users))
        requests: Iterator[bytes] = writes
        expected = b"201"
        if path == "read":
            requests, expected = cycle(order_reads(await _orders(connection, writes))), b"200"
        mails = cast("Sequence[object]", container.mailer().sent)
        spare_the_collector()
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            wanted = len(mails) + (int(line) if path == "write" else 0)
            began = time.process_time()
            for _ in range(int(line)):
                await connection.ask(next(requests), expected)
            for _ in range(_POLLS_MOST):
                if len(mails) >= wanted:
                    break
                await asyncio.sleep(0.002)
            print(time.process_time() - began, flush=True)


# In the place of a context variable; nothing of it runs in Python.
_NO_VARIABLE = SimpleNamespace(get=list[Any]().clear, set=dict[Any, Any]().get, reset=dict[Any, Any]().get)


def _observe_nothing(app: FastAPI) -> None:
    """As if the edge had nothing of what is there to tell others: neither observers nor log lines, ids nor traces."""
    for one in app.user_middleware:
        if cast("Any", one.cls) is Edge:
            one.kwargs.update(observers=(), log=None)
    vars(middleware).update(is_wanted={}.get, CURRENT_REQUEST_ID=_NO_VARIABLE, CURRENT_TRACE=_NO_VARIABLE)


async def _users(connection: Connection) -> list[str]:
    users = []
    for number in range(8):
        answer = await connection.ask(post("/register-user/", {"email": f"user{number}@example.com"}), b"201")
        users.append(_id(answer))
    return users


async def _orders(connection: Connection, writes: Iterator[bytes]) -> list[tuple[str, str]]:
    return [(_id(await connection.ask(next(writes), b"201")), "") for _ in range(ORDERS)]


def _id(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["id"])


def main() -> None:
    path, edge = sys.argv[1:]
    settings = Settings.load(os.environ, None)
    configure_logging(settings.logging.format, settings.logging.level, secrets=settings.secrets)
    speak_as(Role.UP, settings)
    uvloop.run(_measure(build(settings), path, observed=edge == "observed"))


if __name__ == "__main__":
    main()
