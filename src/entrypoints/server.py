"""Serves the web application until the process is told to end."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

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


async def serve(app: FastAPI, listener: socket.socket, *, grace: float) -> None:
    """Serve on ``listener`` until SIGTERM or SIGINT, then let requests in flight finish for ``grace`` seconds.

    The first signal turns readiness red and drains, a second one does not wait for requests.
    """
    server = Server(
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

    def end() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True
        app.state.draining = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        await server.serve(sockets=[listener])
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
