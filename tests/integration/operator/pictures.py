"""Makes the pictures of the operator's page for the documents.

    .venv/bin/python -m tests.integration.operator.pictures docs/pictures

The service is quiet, busy, and in trouble (no Kafka, a provider of the weather that is away, letters on the desk).
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from prove.process import Process
from tests.browser import chromium
from tests.foreign import run_node
from tests.integration.operator.conftest import TOKEN, letters, service_with

WATCHED_SECONDS = 45
AWAY = {
    "CROSSDOCK_EVENT_BROKER": "kafka",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "CROSSDOCK_WEATHER": "open_meteo",
    "OPEN_METEO_GEOCODING_URL": "http://127.0.0.1:1/v1/search",
    "OPEN_METEO_FORECAST_URL": "http://127.0.0.1:1/v1/forecast",
}


@asynccontextmanager
async def load(service: Process, pause: float) -> AsyncIterator[None]:
    """Somebody who orders, and asks for the weather, again and again meanwhile."""
    async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
        user = (await client.post("/register-user/", json={"email": "ann@example.com"})).json()["id"]
        line = {"sku": "tea-1", "quantity": 2, "unit_price": "9.90"}

        async def order() -> None:
            while True:
                await client.post("/orders/", json={"user_id": user, "currency": "EUR", "lines": [line]})
                await asyncio.sleep(pause)

        async def ask() -> None:
            for number in range(1000):
                await client.get(f"/weather/City {number}")
                await asyncio.sleep(0.2)

        working = [asyncio.create_task(order()), asyncio.create_task(ask())]
        try:
            yield
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)


async def take(service: Process, **picture: Any) -> None:
    """One picture."""
    wanted = json.dumps({"picture": picture})
    await asyncio.to_thread(run_node, "operator.mjs", chromium(), service.url, TOKEN, given=wanted)


async def main(folder: Path) -> None:
    """All of them, into this folder, which is there."""
    wide = {"scheme": "light", "width": 1280, "height": 960}
    situations: Mapping[str, tuple[Mapping[str, str], float | None, list[Any], Mapping[str, Any]]] = {
        "empty": ({}, None, [], wide),
        "busy": ({}, 0.02, [], wide),
        "trouble": (AWAY, 0.5, letters()[:3], {**wide, "height": 1300}),
        "trouble-narrow-dark": (AWAY, 0.5, letters()[:3], {"scheme": "dark", "width": 390, "height": 1300}),
    }
    for name, (settings, pause, waiting, how) in situations.items():
        with TemporaryDirectory() as place:
            async with service_with(waiting, Path(place), **settings) as service:
                picture = {**how, "file": str(folder / f"operator-{name}.png")}
                if pause is None:
                    await take(service, **picture, seconds=5)
                else:
                    async with load(service, pause):
                        await take(service, **picture, seconds=WATCHED_SECONDS)


if __name__ == "__main__":
    into = Path(sys.argv[1]).resolve()
    into.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(into))
