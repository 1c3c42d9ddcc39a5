"""`crossdock up` as a child process on a SQLite file, and a client that remembers what it was promised."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import httpx

START_SECONDS = 60
ANSWERS_AT = re.compile(r"answers at (http://\S+)")


class Service:
    """One life of the service: from its start to its end, by order, by fault or by kill -9."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder = folder
        self._settings = {
            "PORT": "0",
            "DATABASE_URL": "sqlite:///crossdock.db",
            "CROSSDOCK_WEATHER": "sample",
            "CROSSDOCK_RETRY_DELAY": "0.1",
            "CROSSDOCK_LOG_FORMAT": "json",
            **settings,
        }
        self.url = ""

    def __enter__(self) -> Self:
        inherited: Mapping[str, str] = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._log = (self._folder / "service.log").open("ab")
        begin = self._log.tell()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "entrypoints.cli", "up"],
            cwd=self._folder,
            env={**inherited, "PYTHONPATH": str(Path("src").absolute()), **self._settings},
            stdout=self._log,
            stderr=self._log,
        )
        deadline = time.monotonic() + START_SECONDS
        while not (found := ANSWERS_AT.search(self.log[begin:])):
            assert self.process.poll() is None, f"ended at its start:\n{self.log[begin:]}"
            assert time.monotonic() < deadline, f"did not start:\n{self.log[begin:]}"
            time.sleep(0.02)
        self.url = found[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._log.close()

    @property
    def log(self) -> str:
        """Everything that all lives in this folder have written."""
        return (self._folder / "service.log").read_text(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """kill -9, also of one that is stopped."""
        if self.is_alive:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def end(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    @property
    def mails(self) -> list[tuple[str, str]]:
        """Message-ID and subject of each mail that was sent."""
        lines = (json.loads(line) for line in self.log.splitlines() if '"message": "mail"' in line and line[-1] == "}")
        return [(line["message_id"], line["subject"]) for line in lines]


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
    while Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, "it did not freeze"
        time.sleep(0.02)
