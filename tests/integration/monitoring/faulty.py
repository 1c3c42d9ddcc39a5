"""Services of which something is broken on purpose."""

import asyncio
import re
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from domain.model.events import OrderCreated
from entrypoints.container import build
from entrypoints.settings import Settings
from ports.crash_points import CrashPoint
from prove.process import ROOT, Process
from tests.builders import a_message
from tests.integration.monitoring.runbook import Units, Words
from tests.integration.monitoring.small_disk import fill, small_disk
from tests.integration.task_queue.recording_worker import forget_queue
from tests.services import private
from tests.stand_ins.weather_server import WeatherServer, answers, as_the_providers_do
from tools.services.rabbitmq import RabbitMQ

TOKEN = "operator-of-the-test"
ORDER = {"currency": "EUR", "lines": [{"sku": "tea-1", "quantity": 1, "unit_price": "9.90"}]}
SECONDS = 60
_SETTINGS = {
    "CROSSDOCK_WEATHER": "sample",
    "CROSSDOCK_OPERATOR_TOKEN": TOKEN,
    "CROSSDOCK_LOG_FORMAT": "json",
    "CROSSDOCK_PARTITIONS": "2",
    "CROSSDOCK_PROBE_PORT": "0",
    "DATABASE_URL": "sqlite:///crossdock.db",
    "PORT": "0",
}
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass
class Service:
    """One that works, how it is broken, and what there is around it for whoever follows a runbook."""

    processes: list[Process]  # the first answers requests and shows the operator's page
    settings: Mapping[str, str]
    folder: Path
    break_it: Callable[[], object]
    units: Units = field(default_factory=dict)
    words: Words = field(default_factory=dict)
    meanwhile: Callable[[], object] = lambda: None
    wants_weather: bool = False

    @property
    def front(self) -> Process:
        return self.processes[0]

    @property
    def environ(self) -> dict[str, str]:
        """Of a shell in its folder, where `crossdock` is the command."""
        command = self.folder / "crossdock"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m entrypoints.cli "$@"\n')
        command.chmod(0o755)
        return {"PYTHONPATH": str(ROOT / "src"), **self.settings}

    async def use(self, client: httpx.AsyncClient) -> None:
        """As its users do: an order of somebody new, or the weather of a city that nobody has asked for."""
        url, name = self.front.url, secrets.token_hex(6)
        if self.wants_weather:
            await client.get(f"{url}/weather/{name}")
            return
        answer = await client.post(f"{url}/register-user/", json={"email": f"{name}@example.com"})
        if answer.status_code == httpx.codes.CREATED:
            await client.post(f"{url}/orders/", json={"user_id": answer.json()["id"], **ORDER})


@asynccontextmanager
async def broker_stopped(folder: Path) -> AsyncIterator[Service]:
    """RabbitMQ is stopped, and started again."""
    async with AsyncExitStack() as stack:
        broker = await asyncio.to_thread(stack.enter_context, private(RabbitMQ))
        settings = {**_SETTINGS, "CROSSDOCK_EVENT_BROKER": "rabbitmq", "RABBITMQ_URL": broker.address}
        up = await _begun(stack, folder, "up", settings=settings)
        units = {("start", "rabbitmq-server"): broker.start}
        yield Service([up], settings, folder, broker.stop, units)


@asynccontextmanager
async def provider_down(folder: Path) -> AsyncIterator[Service]:
    """Each question to the provider is answered 500, until it is well again by itself."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(WeatherServer())
        settings = {
            **_SETTINGS,
            "CROSSDOCK_WEATHER": "openweather",
            "CROSSDOCK_WEATHER_QUOTA": "1000/second",
            "OPEN_WEATHER_API_KEY": "a-key",
            "OPEN_WEATHER_URL": provider.openweather_url,
        }
        up = await _begun(stack, folder, "up", settings=settings)
        yield Service(
            [up],
            settings,
            folder,
            lambda: provider.always(answers({"message": "no"}, status=500)),
            meanwhile=lambda: provider.always(as_the_providers_do),
            wants_weather=True,
        )


@asynccontextmanager
async def poison_message(folder: Path, rabbitmq_url: str) -> AsyncIterator[Service]:
    """Somebody publishes an order that nobody can read."""
    async with AsyncExitStack() as stack:
        settings = _SETTINGS | _shared_broker(stack, rabbitmq_url)
        up = await _begun(stack, folder, "up", settings=settings)
        words = {"ID": lambda shown: re.findall(_ID, shown)[0]}
        yield Service([up], settings, folder, lambda: asyncio.run(_publish_no_json(settings)), words=words)


@asynccontextmanager
async def stuck_consumer(folder: Path, rabbitmq_url: str, database_url: str) -> AsyncIterator[Service]:
    """The consumer stops before the effect of the first message that it takes in hand."""
    async with AsyncExitStack() as stack:
        settings = _SETTINGS | _shared_broker(stack, rabbitmq_url) | {"DATABASE_URL": database_url}
        migrating = await _begun(stack, folder, "migrate", settings=settings, wait=False)
        assert await asyncio.to_thread(migrating.process.wait, SECONDS) == 0
        fault = {"CROSSDOCK_FAULT": f"{CrashPoint.CONSUMER_BEFORE_EFFECT}:freeze"}
        consumer = await _begun(stack, folder, "consumer", settings=settings, wait=False, **fault)
        api = await _begun(stack, folder, "api", settings=settings, wait=False)
        relay = await _begun(stack, folder, "relay", settings=settings, wait=False)
        for process in (consumer, api, relay):
            await asyncio.to_thread(process.wait_until_ready)

        def restart() -> None:
            consumer.tell_to_end()
            consumer.thaw()  # as systemd does after its SIGTERM
            consumer.process.wait(SECONDS)
            consumer.spawn().wait_until_ready()

        # It breaks with the first order.
        units = {("restart", "crossdock-consumer"): restart}
        yield Service([api, relay, consumer], settings, folder, lambda: None, units)


@asynccontextmanager
async def full_disk(folder: Path) -> AsyncIterator[Service]:
    """Another file takes what room there was beside the database."""
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", megabytes=4))
        settings = {**_SETTINGS, "DATABASE_URL": f"sqlite:///{disk / 'crossdock.db'}"}
        up = await _begun(stack, folder, "up", settings=settings)
        words = {"FOLDER": lambda _: str(disk), "FILE": _largest_but_the_database}
        yield Service([up], settings, folder, lambda: fill(disk / "somebody-elses.log"), words=words)


async def _begun(
    stack: AsyncExitStack, folder: Path, role: str, *, settings: Mapping[str, str], wait: bool = True, **more: str
) -> Process:
    process = Process(folder, role, settings=settings)
    stack.callback(process.close)
    process.spawn(**more)
    return await asyncio.to_thread(process.wait_until_ready) if wait else process


def _shared_broker(stack: AsyncExitStack, rabbitmq_url: str) -> dict[str, str]:
    prefix = f"test-{secrets.token_hex(4)}."
    for topic in ("order_events", "user_events"):
        for partition in (0, 1):
            stack.callback(forget_queue, rabbitmq_url, f"{prefix}crossdock.{topic}.{partition}")
    return {"CROSSDOCK_EVENT_BROKER": "rabbitmq", "RABBITMQ_URL": rabbitmq_url, "CROSSDOCK_TOPIC_PREFIX": prefix}


async def _publish_no_json(settings: Mapping[str, str]) -> None:
    broker = build(Settings.load(settings, None)).event_broker()
    await broker.start()
    try:
        assert await broker.publish([a_message(b"no JSON", type=OrderCreated.type)]) == [None]
    finally:
        await broker.stop()


def _largest_but_the_database(shown: str) -> str:
    """By the last lines of `du`, which are sorted by size."""
    files = [line.split("\t")[1] for line in shown.splitlines() if re.match(r"\d+\t", line)]
    return next(file for file in reversed(files) if Path(file).is_file() and "crossdock.db" not in file)
