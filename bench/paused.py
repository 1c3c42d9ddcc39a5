"""The service with relay and consumer paused: it takes orders and records their events, and carries none of them."""

import os
import socket

import uvloop

from entrypoints.container import Container, build
from entrypoints.observability import configure_logging
from entrypoints.server import serve
from entrypoints.settings import Settings
from entrypoints.startup import spare_the_collector, started
from entrypoints.web.app import create_app


async def _serve(container: Container, listener: socket.socket) -> None:
    settings = container.settings()
    app = create_app(container, operator_token=None, weather_ttl=settings.weather.ttl)
    async with started(container):
        spare_the_collector()
        await serve(app, listener, grace=settings.server.grace / 2, hurry=container.weather().stop)


def main() -> None:
    """Serve on an up-to-date database until SIGTERM."""
    settings = Settings.load(os.environ, None)
    configure_logging(settings.logging.format, settings.logging.level, secrets=settings.secrets)
    with socket.create_server((settings.server.host, settings.server.port), backlog=2048) as listener:
        uvloop.run(_serve(build(settings), listener))


if __name__ == "__main__":
    main()
