"""Ours as `crossdock api`, with the lateness of its event loop written to a file."""

import os
import socket
import sys
from pathlib import Path

import uvloop

from bench.engines import lag
from entrypoints.container import Container, build
from entrypoints.observability import configure_logging
from entrypoints.roles import Role
from entrypoints.server import serve
from entrypoints.settings import Settings
from entrypoints.startup import pipeline, spare_the_collector, started
from entrypoints.web.app import create_app


async def _serve(container: Container, listener: socket.socket, path: Path) -> None:
    settings = container.settings()
    app = create_app(container, operator_token=None, weather_ttl=settings.weather.ttl)
    async with started(container, Role.API), pipeline(container, Role.API):
        spare_the_collector()
        async with lag.written(path):
            await serve(app, listener, grace=settings.server.grace / 2, hurry=container.weather().stop)


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.load(os.environ, None)
    configure_logging(settings.logging.format, settings.logging.level, secrets=settings.secrets)
    with socket.create_server((settings.server.host, settings.server.port), backlog=2048) as listener:
        uvloop.run(_serve(build(settings), listener, Path(sys.argv[1])))


if __name__ == "__main__":
    main()
