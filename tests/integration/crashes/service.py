"""`crossdock up` as a child process on a SQLite file, and a client that remembers what it was promised."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

from prove.process import START_SECONDS, Process


class Service(Process):
    """`crossdock up` on a SQLite file of its folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        defaults = {
            "PORT": "0",
            "DATABASE_URL": "sqlite:///crossdock.db",
            "CROSSDOCK_WEATHER": "sample",
            "CROSSDOCK_RETRY_DELAY": "0.1",
            "CROSSDOCK_LOG_FORMAT": "json",
        }
        super().__init__(folder, "up", settings={**defaults, **settings})

    @property
    def mails(self) -> list[tuple[str, str]]:
        """Message-ID and subject of each mail that was sent."""
        lines = (json.loads(line) for line in self.log.splitlines() if '"message": "mail"' in line and line[-1] == "}")
        return [(line["email.message_id"], line["email.subject"]) for line in lines]


@dataclass
class Promised:
    """What a client was answered, over all lives."""

    users: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    unknown: int = 0  # requests that got no answer
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, *, orders: int) -> None:
        """Return when so many orders have been answered 201."""
        while len(self.orders) < orders:
            self.news.clear()
            await self.news.wait()

    async def load(self, service: Service, *, clients: int = 8, orders: int = 1_000_000) -> None:
        """Register a user each and place orders, so many in all, until the service dies."""
        left = [orders]
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
            await asyncio.gather(*(self._client(client, left) for _ in range(clients)))

    async def order(self, service: Service) -> None:
        """One order of somebody who has registered."""
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
            await self._order(client, min(self.users))

    async def _order(self, client: httpx.AsyncClient, user: str) -> None:
        line = {"sku": "A1", "quantity": 2, "unit_price": "9.90"}
        answer = await client.post("/orders/", json={"user_id": user, "currency": "EUR", "lines": [line]})
        assert answer.status_code == 201, answer.text
        self.orders.add(answer.json()["id"])
        self.news.set()

    async def _client(self, client: httpx.AsyncClient, left: list[int]) -> None:
        try:
            answer = await client.post("/register-user/", json={"email": f"{uuid4().hex}@example.com"})
            assert answer.status_code == 201, answer.text
            user = answer.json()["id"]
            self.users.add(user)
            while left[0] > 0:
                left[0] -= 1
                await self._order(client, user)
        except httpx.TransportError:
            self.unknown += 1


def wait_until_stopped(service: Service) -> None:
    """Wait until the operating system says that the process is stopped (state T)."""
    deadline = time.monotonic() + START_SECONDS
    while not service.is_stopped:
        assert time.monotonic() < deadline, "it did not freeze"
        time.sleep(0.02)
