"""One service with everything around it: servers, roles, clients, a mailbox, and who reads the books."""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from prove.books import database, kafka
from prove.books.database import Books
from prove.books.mails import Mailbox
from prove.books.published import Published
from prove.books.rabbitmq import Audit
from prove.fleet import Fleet
from prove.measures import GIVEN_BACK_SECONDS, MORE_CONNECTIONS, Measure, growth, measure
from prove.process import ROOT
from prove.promises import Load, Promises
from prove.servers import Servers
from prove.verdict import Evidence, faults
from tools.services.ports import free_ports
from tools.services.server import Server

QUIET_SECONDS = 60.0  # within which something has to move
SLOW_SECONDS = 300.0
TELL_SECONDS = 10.0
LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Choice:
    """What the service is told to use."""

    broker: str
    queue: str
    carrier: str = "redis"  # of Celery

    def __str__(self) -> str:
        carrier = " on rabbitmq" if self.queue == "celery" and self.carrier == "rabbitmq" else ""
        return f"{self.broker} + {self.queue}{carrier}"


QUICK = (Choice("kafka", "celery"), Choice("rabbitmq", "background"))
ALL = (*QUICK, Choice("kafka", "background"), Choice("rabbitmq", "celery"), Choice("rabbitmq", "celery", "rabbitmq"))


@dataclass(slots=True)
class World:
    """What a scenario acts on."""

    servers: Servers
    choice: Choice
    dice: Random
    rate: float
    folder: Path
    prefix: str
    database_url: str
    mailbox: Mailbox
    fleet: Fleet
    load: Load
    promises: Promises
    books: Books
    audit: Audit
    patience: float = QUIET_SECONDS
    desk: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    earlier: list[list[Published]] = field(default_factory=list)  # of brokers that are gone
    notes: list[str] = field(default_factory=list)
    recovered: float = 0.0
    began: float = field(default_factory=time.monotonic)
    cured_at: float = field(default_factory=time.monotonic)
    _before: dict[str, Measure] = field(default_factory=dict)
    _connections: int = 0

    @property
    def broker(self) -> Server:
        return self.servers.kafka if self.choice.broker == "kafka" else self.servers.rabbitmq

    def tell(self, what: str) -> None:
        """A line of the story, with its time."""
        print(f"  {time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def cured(self) -> None:
        """The last of what was broken is whole again."""
        self.cured_at = time.monotonic()

    async def begin(self) -> None:
        """All roles work, users are there, and what the processes hold is measured."""
        await self.fleet.start()
        await self.load.first_users()
        await self.load.orders(40)
        self._before = self._measures()
        self._connections = await self.books.connections()
        self.tell("everything works")

    def choose(self, **changes: str) -> None:
        """From the next lives on."""
        self.choice = replace(self.choice, **changes)
        self.fleet.settings.update(settings(self.servers, self.choice))

    async def quiet(self) -> list[str]:
        """Wait until nothing is pending; what is wrong if something still is after the bound (I8)."""
        self.load.close()
        found = await self._done()
        if not found:
            self.recovered = time.monotonic() - self.cured_at
            self.tell("nothing is pending")
        return found

    async def resolve(self) -> list[str]:
        """Find out, by its key, what became of each request without an answer (I7); then all is quiet again."""
        kept = await self.books.kept()
        await self.load.repeat({order.sku: id_ for id_, order in kept.orders.items()} | _turned(kept.users))
        self.tell(f"{len(self.promises.repeated)} requests were sent again, {len(self.promises.unknown)} unknown")
        self.load.close()
        self.cured()
        return await self._done()

    async def _done(self) -> list[str]:
        expected, least, moved_at = self._expected_left(), None, time.monotonic()
        told_at = moved_at
        while (left := await self.books.pending()) != expected:
            now, number = time.monotonic(), sum(left.values())
            if least is None or number < least:
                least, moved_at = number, now
            # A machine that is busy with everything else may be slow, but what waits has to move.
            if now - moved_at > self.patience or now - self.cured_at > SLOW_SECONDS:
                return [f"I8: still pending {now - self.cured_at:.0f} s after the last cure: {left}"]
            if now - told_at > TELL_SECONDS:
                told_at = now
                self.tell(f"still pending: {left}")
            await asyncio.sleep(LOOK_SECONDS)
        return []

    async def published(self) -> list[Published]:
        """All that is on the present broker."""
        if self.choice.broker == "kafka":
            return await kafka.read(self.servers.kafka.address, self.prefix)
        return await asyncio.to_thread(self.audit.read)

    async def send(self, topic: str, attributes: dict[str, str], body: bytes) -> None:
        """As a foreign producer."""
        if self.choice.broker == "kafka":
            await kafka.send(self.servers.kafka.address, self.prefix + topic, attributes, body)
        else:
            await asyncio.to_thread(self.audit.send, topic, attributes, body)

    @asynccontextmanager
    async def walking(self, *, subjects: int = 5, events: int = 40, seconds: float = 15.0) -> AsyncIterator[None]:
        """A program beside the service records many events of a few subjects meanwhile."""
        walk = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "prove.steps", "--subjects", str(subjects)),
            *("--events", str(events), "--seconds", str(seconds)),
            cwd=self.folder,
            env=_environment(self.fleet.settings, str(ROOT)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield
            said, errors = await asyncio.wait_for(walk.communicate(), seconds + QUIET_SECONDS)
        finally:
            if walk.returncode is None:
                walk.kill()
                await walk.wait()
        if walk.returncode:
            raise RuntimeError(f"the walk ended with {walk.returncode}: {errors.decode()[-2000:]}")
        self.steps |= json.loads(said)

    async def evidence(self) -> Evidence:
        """Everything that can be seen from outside, now that it is quiet."""
        return Evidence(
            self.promises,
            await self.books.kept(),
            [*self.earlier, await self.published()],
            self.mailbox.mails,
            self.steps,
            self.desk,
        )

    async def faults(self, evidence: Evidence) -> list[str]:
        """What is wrong, with the books and with the processes."""
        found = [*faults(evidence), *self.fleet.wrong]
        for name, after in self._measures().items():
            if before := self._before.get(name):
                found += filter(None, [growth(name, before, after)])
        return [*found, *await self._connections_left()]

    async def _connections_left(self) -> list[str]:
        until = time.monotonic() + GIVEN_BACK_SECONDS
        while (now := await self.books.connections()) > self._connections + MORE_CONNECTIONS:
            if time.monotonic() > until:
                return [f"I10: {self._connections} connections to the database became {now}"]
            await asyncio.sleep(LOOK_SECONDS)
        return []

    async def close(self) -> None:
        self.load.close()
        await asyncio.to_thread(self.fleet.close)

    def _expected_left(self) -> dict[str, int]:
        return {"received dead": self.desk} if self.desk else {}

    def _measures(self) -> dict[str, Measure]:
        return {name: measure(member.process, member.lives) for name, member in self.fleet.members.items()}


def _turned(ids: Mapping[str, str]) -> dict[str, str]:
    return {mark: id_ for id_, mark in ids.items()}


def settings(servers: Servers, choice: Choice) -> dict[str, str]:
    """What decides which servers are used."""
    carrier = servers.redis if choice.carrier == "redis" else servers.rabbitmq
    return {
        "CROSSDOCK_EVENT_BROKER": choice.broker,
        "CROSSDOCK_TASK_QUEUE": choice.queue,
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka.address,
        "RABBITMQ_URL": servers.rabbitmq.address,
        "CELERY_BROKER_URL": carrier.address,
        "CELERY_RESULT_BACKEND": servers.redis.address,
    }


@asynccontextmanager
async def world(servers: Servers, choice: Choice, folder: Path, dice: Random, rate: float) -> AsyncIterator[World]:
    """A database, topics and processes of their own, on servers that scenarios share one after the other."""
    name = f"prove_{secrets.token_hex(6)}"
    address = servers.postgresql.address
    await database.create(address, name)
    url = f"{address.rpartition('/')[0]}/{name}"
    prefix = f"{name}-"
    [port] = free_ports(1)
    async with Mailbox() as mailbox:
        chosen = {
            **settings(servers, choice),
            "PORT": str(port),
            "DATABASE_URL": url,
            "CROSSDOCK_TOPIC_PREFIX": prefix,
            "CROSSDOCK_RETRY_DELAY": "0.1",
            "CROSSDOCK_MAILER": "smtp",
            "SMTP_URL": mailbox.url,
            "CROSSDOCK_WEATHER": "sample",
            "CROSSDOCK_LOG_FORMAT": "json",
        }
        await asyncio.to_thread(_migrate, chosen)
        audit = Audit(servers.rabbitmq.address, prefix)
        await asyncio.to_thread(audit.bind)
        promises = Promises()
        made = World(
            servers,
            choice,
            dice,
            rate,
            folder,
            prefix,
            url,
            mailbox,
            Fleet(folder, chosen, commands(choice)),
            Load(port, promises, dice),
            promises,
            Books(url),
            audit,
        )
        try:
            yield made
        finally:
            await made.close()


def commands(choice: Choice) -> dict[str, str]:
    """The roles that play, by the names of their processes."""
    roles = {
        "api": "api",
        "relay-1": "relay",
        "relay-2": "relay",
        "consumer-1": "consumer",
        "consumer-2": "consumer",
    }
    return roles | ({"worker-1": "worker --concurrency 2"} if choice.queue == "celery" else {})


def _migrate(chosen: Mapping[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", "migrate"],
        env=_environment(chosen),
        check=True,
        capture_output=True,
        timeout=60,
    )


def _environment(chosen: Mapping[str, str], *more: str) -> dict[str, str]:
    return {**chosen, "PYTHONPATH": ":".join([str(ROOT / "src"), *more])}
