"""The alerts fire in a real Prometheus for faults of the real service, and are over when those are.

With their own expressions; only how long they look back, and how long they wait, is cut to seconds.
"""

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from domain.model.events import OrderCreated
from entrypoints.container import build
from entrypoints.settings import Settings
from prove.process import ROOT, Process
from tests.builders import a_message
from tests.integration.monitoring.promtool import MONITORING
from tests.integration.persistence.relay import Relay
from tests.integration.task_queue.recording_worker import forget_queue
from tests.stand_ins.weather_server import WeatherServer, answers, as_the_providers_do
from tools.services import folders
from tools.services.prometheus import Prometheus

PATIENCE_SECONDS = 40.0
ROLES = ("api", "relay", "consumer")
TOKEN = "operator-of-the-test"
ORDER = {"currency": "EUR", "lines": [{"sku": "tea-1", "quantity": 1, "unit_price": "9.90"}]}


class Watched:
    """The service in three processes, what it depends on, and Prometheus."""

    def __init__(self, roles: dict[str, Process], client: httpx.AsyncClient, prometheus: Prometheus) -> None:
        self.roles = roles
        self.client = client
        self.prometheus = prometheus

    async def firing(self) -> set[str]:
        answer = await self.client.get(f"{self.prometheus.address}/api/v1/alerts")
        alerts = answer.json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    async def until(self, *alerts: str) -> None:
        """Return when these fire, and without any when none does, while the service goes on being used."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (set(alerts) <= (now := await self.firing()) and bool(alerts) == bool(now)):
                    await self.use()
                    await asyncio.sleep(0.3)
        except TimeoutError:
            tails = "\n".join(role.tail() for role in self.roles.values())
            pytest.fail(f"{alerts} wanted, but {await self.firing()} fire\n{tails}")

    async def use(self) -> None:
        """Place an order and ask for the weather of a city that nobody has asked for."""
        api = self.roles["api"].url
        try:
            user = await self.client.post(
                f"{api}/register-user/", json={"email": f"{secrets.token_hex(6)}@example.com"}
            )
            if user.status_code == httpx.codes.CREATED:
                await self.client.post(f"{api}/orders/", json={"user_id": user.json()["id"], **ORDER})
        except httpx.TransportError:
            return

    async def ask_for_weather(self) -> None:
        cities = [secrets.token_hex(6) for _ in range(6)]
        await asyncio.gather(*(self.client.get(f"{self.roles['api'].url}/weather/{city}") for city in cities))


@pytest.fixture
def settings(database_url: str, rabbitmq_url: str) -> Iterator[dict[str, str]]:
    prefix = f"test-{secrets.token_hex(4)}."
    yield {
        "DATABASE_URL": database_url,
        "CROSSDOCK_EVENT_BROKER": "rabbitmq",
        "RABBITMQ_URL": rabbitmq_url,
        "CROSSDOCK_TOPIC_PREFIX": prefix,
        "CROSSDOCK_PARTITIONS": "2",
        "CROSSDOCK_WEATHER": "openweather",
        "CROSSDOCK_WEATHER_QUOTA": "1000/second",
        "OPEN_WEATHER_API_KEY": "a-key",
        "CROSSDOCK_OPERATOR_TOKEN": TOKEN,
        "CROSSDOCK_LOG_FORMAT": "json",
        "PORT": "0",
        "CROSSDOCK_PROBE_PORT": "0",
    }
    for topic in ("order_events", "user_events"):
        for partition in (0, 1):
            forget_queue(rabbitmq_url, f"{prefix}crossdock.{topic}.{partition}")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The alerts, in a hurry."""
    text = re.sub(r"\[\d+m\]", "[5s]", (MONITORING / "alerts.yml").read_text())
    hurried = tmp_path / "rules.yml"
    hurried.write_text(re.sub(r"for: \d+\w", "for: 1s", text))
    return hurried


def through(url: str, port: int) -> str:
    """The same server, seen through a relay."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))


def migrate(settings: dict[str, str]) -> None:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **settings}
    command = [sys.executable, "-m", "entrypoints.cli", "migrate"]
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60)


def place_of(process: Process) -> str:
    found = re.search(r"(?:answers at|Probes:) http://([\d.]+:\d+)", process.log)
    assert found is not None, process.tail()
    return found[1]


@asynccontextmanager
async def watched(settings: dict[str, str], rules: Path, folder: Path) -> AsyncIterator[Watched]:
    if lacking := Prometheus.missing():
        pytest.skip(f"Prometheus is not installed: it lacks {', '.join(lacking)}")
    async with AsyncExitStack() as stack:
        processes = stack.enter_context(ExitStack())
        begun = {role: Process(folder, role, settings=settings) for role in ROLES}
        for process in begun.values():
            processes.callback(process.close)
            process.spawn()
        for process in begun.values():
            await asyncio.to_thread(process.wait_until_ready)
        server = Prometheus(stack.enter_context(folders.temporary()) / "prometheus")
        server.watch({role: place_of(process) for role, process in begun.items()}, rules)
        stack.callback(server.remove)
        await asyncio.to_thread(server.start)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=10))
        yield Watched(begun, client, server)


async def test_alerts_fire_for_faults_and_are_over_with_them(
    settings: dict[str, str], rules: Path, tmp_path: Path
) -> None:
    database, broker = (Relay(urlsplit(settings[name]).port or 0) for name in ("DATABASE_URL", "RABBITMQ_URL"))
    await asyncio.to_thread(migrate, settings)
    async with database.listening() as at_database, broker.listening() as at_broker, WeatherServer() as provider:
        seen = {
            **settings,
            "DATABASE_URL": f"{through(settings['DATABASE_URL'], at_database)}?sslmode=disable",
            "RABBITMQ_URL": through(settings["RABBITMQ_URL"], at_broker),
            "OPEN_WEATHER_URL": provider.openweather_url,
        }
        async with watched(seen, rules, tmp_path) as service:
            await service.until()

            # A consumer that is frozen, a message that nobody can read, a provider that answers 500.
            await publish_what_nobody_can_read(settings)
            provider.always(answers({"message": "no"}, status=500))
            await service.ask_for_weather()
            await service.until("CrossdockDeadLetters", "CrossdockProviderDown")
            os.kill(service.roles["consumer"].process.pid, signal.SIGSTOP)
            await service.until("CrossdockConsumerStuck", "CrossdockDown", "CrossdockDeadLetters")

            os.kill(service.roles["consumer"].process.pid, signal.SIGCONT)
            provider.always(as_the_providers_do)
            await discard_all(service)
            while "CrossdockProviderDown" in await service.firing():
                await service.ask_for_weather()
                await asyncio.sleep(0.5)
            await service.until()

            # Broker and storage out of reach.
            broker.go_away()
            database.go_away()
            await service.until("CrossdockBrokerOutOfReach", "CrossdockStorageOutOfReach", "CrossdockErrors")

            broker.come_back()
            database.come_back()
            await service.until()


async def publish_what_nobody_can_read(settings: dict[str, str]) -> None:
    broker = build(Settings.load(settings, None)).event_broker()
    await broker.start()
    try:
        assert await broker.publish([a_message(b"no JSON", type=OrderCreated.type)]) == [None]
    finally:
        await broker.stop()


async def discard_all(service: Watched) -> None:
    api, token = f"{service.roles['api'].url}/operator/api/dead-letters", {"Authorization": f"Bearer {TOKEN}"}
    for letter in (await service.client.get(api, headers=token)).json()["items"]:
        answer = await service.client.post(f"{api}/{letter['id']}/discard", headers=token)
        assert answer.status_code == httpx.codes.OK
