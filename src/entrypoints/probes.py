"""A small port for the roles that answer no requests: probes and metrics."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from entrypoints.container import Container
from entrypoints.listening import address_of, listen
from entrypoints.settings import Settings

LAST_WORD_SECONDS = 1.0  # for probes in flight when the role ends


def probe_listener(settings: Settings) -> socket.socket | None:
    """A socket on ``CROSSDOCK_PROBE_PORT``; None when it is not set. `StartError` when somebody else has the port."""
    port = settings.server.probe_port
    return None if port is None else listen(settings.server.host, port, variable="CROSSDOCK_PROBE_PORT")


def probes_told(listener: socket.socket | None) -> str:
    """Where to ask, for the person who started it; empty when nowhere."""
    return "" if listener is None else f" Probes: {address_of(listener)}/readyz"


@asynccontextmanager
async def answering_probes(
    container: Container, listener: socket.socket | None, told_to_end: asyncio.Event
) -> AsyncIterator[None]:
    """Answer on ``listener``, if there is one, until left; from ``told_to_end`` on that nothing is ready."""
    if listener is None:
        yield
        return
    # The web stack is imported by the process that serves.
    from entrypoints.server import make_server  # noqa: PLC0415
    from entrypoints.web.probes import create_probe_app  # noqa: PLC0415

    app = create_probe_app(container, metrics=container.settings().telemetry.metrics)
    server = make_server(app, grace=LAST_WORD_SECONDS)

    async def drain() -> None:
        await told_to_end.wait()
        app.state.draining = True

    draining, serving = asyncio.create_task(drain()), asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        draining.cancel()
        await asyncio.wait({serving}, timeout=2 * LAST_WORD_SECONDS)
        serving.cancel()
        await asyncio.gather(serving, draining, return_exceptions=True)
