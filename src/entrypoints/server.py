"""Serves the web application until the process is told to end."""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from entrypoints.web.protocol import BoundedProtocol


class Server(uvicorn.Server):
    """A server that leaves signals alone.

    uvicorn's own handling raises SIGTERM again once it has served: the process would end before anything after it runs.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


LATE_SECONDS = 1.0  # before requests are broken off


def make_server(app: FastAPI, *, grace: float) -> Server:
    """A server for ``app`` that lets requests in flight finish for ``grace`` seconds."""
    return Server(
        uvicorn.Config(
            app,
            loop="none",
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(grace)),
        )
    )


async def serve(
    app: FastAPI, listener: socket.socket, *, grace: float, hurry: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Serve on ``listener`` until SIGTERM or SIGINT, then let requests in flight finish for ``grace`` seconds.

    The first signal turns readiness red and drains, a second one does not wait for requests. ``hurry`` is called
    shortly before the end of it: what still waits for others then is to be answered without them.
    """
    server = make_server(app, grace=grace)

    def end() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True
        app.state.draining = True
        app.state.live.end()
        late.append(loop.call_later(max(0.0, grace - LATE_SECONDS), lambda: hurrying.append(loop.create_task(hurry()))))

    loop = asyncio.get_running_loop()
    late: list[asyncio.TimerHandle] = []
    hurrying: list[asyncio.Task[None]] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        await server.serve(sockets=[listener])
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        for timer in late:
            timer.cancel()
        await asyncio.gather(*hurrying, return_exceptions=True)
