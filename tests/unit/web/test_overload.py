import asyncio

import httpx
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from domain.delivery.pace import Pace
from entrypoints.web.middleware import Edge
from tests.clock import ManualClock
from tests.unit.web.parts import Parts
from tests.unit.web.talk import client_of, problem


class Busy:
    """Answers nothing before it is told to, but for probes."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.entered = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] == "/orders/":
            self.entered.release()
            await self.done.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


async def test_beyond_its_bound_requests_are_refused_at_once_and_probes_are_not() -> None:
    busy, pace = Busy(), Pace(ManualClock())
    edge = Edge(busy, pace=pace, in_flight_most=3)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://crossdock.test") as client:
        waiting = [asyncio.create_task(client.get("/orders/")) for _ in range(3)]
        for _ in waiting:
            await asyncio.wait_for(busy.entered.acquire(), 5)
        refused = [await client.get("/orders/") for _ in range(5)]
        probed = [await client.get(path) for path in ("/livez", "/readyz", "/metrics")]
        busy.done.set()
        served = [await each for each in waiting]
        again = await client.get("/orders/")

    for answer in refused:
        problem(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "1"
    assert {answer.status_code for answer in (*probed, *served, again)} == {204}
    assert pace.in_flight == 0


async def test_bodies_that_dribble_keep_nobody_out_and_press_nobody(app: FastAPI, parts: Parts) -> None:
    """Whoever wants to use up the bound has to send whole requests, not beginnings of them."""
    asked = asyncio.Semaphore(0)
    gone = asyncio.Event()

    async def receive() -> Message:
        asked.release()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        return

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/orders/",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
        "scheme": "http",
    }
    tasks = [asyncio.create_task(app({**scope}, receive, send)) for _ in range(20)]
    for _ in tasks:
        await asyncio.wait_for(asked.acquire(), 5)
    during = parts.pace().in_flight
    async with client_of(app) as client:
        served = await client.get("/orders/")
    gone.set()
    await asyncio.gather(*tasks)

    assert (during, parts.pace().in_flight) == (0, 0)
    assert served.status_code == 200
