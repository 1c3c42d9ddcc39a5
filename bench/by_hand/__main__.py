"""Serves one of the hand-written applications: NAME PORT [DATABASE]."""

import sys

import uvicorn
from fastapi import FastAPI

from bench.by_hand import orders


def _app(name: str, *database: str) -> FastAPI:
    # What only one application needs is no burden of the others.
    match name:
        case "orders_async":
            return orders.on_the_loop(*database)
        case "orders_def":
            return orders.in_threads(*database)
        case "orders_unstored":
            return orders.unstored()
        case "weather":
            from bench.by_hand import weather  # noqa: PLC0415

            return weather.create_app()
        case "with_libraries":
            from bench.by_hand import with_libraries  # noqa: PLC0415

            return with_libraries.create_app()
    raise SystemExit(f"there is no application {name}")


def main() -> None:
    """Serve until SIGTERM, as fast as uvicorn can."""
    name, port, *database = sys.argv[1:]
    uvicorn.run(
        _app(name, *database),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
