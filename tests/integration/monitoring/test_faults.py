"""A fault that was made on purpose is one cause, told everywhere within 15 seconds, and its runbook ends it.

The configuration of Prometheus and the rules are those of monitoring/, with their own times.
"""

import asyncio
import html
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.monitoring import faulty
from tests.integration.monitoring.faulty import Service
from tests.integration.monitoring.promtool import MONITORING
from tests.integration.monitoring.runbook import Done, follow, page_of
from tests.services import Databases
from tools.services import folders
from tools.services.prometheus import Prometheus

TOLD_SECONDS = 15.0
WELL_SECONDS = 60.0
PLACES = {"page", "readiness", "alert", "log"}


@dataclass(frozen=True)
class Fault:
    """What everybody is to say of it."""

    check: str
    cause: str
    alert: str


FAULTS = {
    "broker stopped": Fault("event_broker", "out_of_reach", "CrossdockBrokerOutOfReach"),
    "provider down": Fault("weather", "out_of_reach", "CrossdockProviderDown"),
    "poison message": Fault("desk", "dead_letters", "CrossdockDeadLetters"),
    "stuck consumer": Fault("handling", "behind", "CrossdockConsumerStuck"),
    "full disk": Fault("storage", "full", "CrossdockStorageOutOfReach"),
}


@dataclass
class Told:
    """What was said of a fault, where, and when; then what its runbook did."""

    after: dict[str, float] = field(default_factory=dict)  # seconds after the fault, by place
    cures: dict[str, str] = field(default_factory=dict)
    alerts: set[tuple[str, str]] = field(default_factory=set)  # all that fire: names and causes
    commands: list[Done] = field(default_factory=list)
    lines: list[Mapping[str, str]] = field(default_factory=list)  # of the log, until the runbook is followed
    lines_then: list[Mapping[str, str]] = field(default_factory=list)  # until all is well
    well_after: float | None = None  # seconds after the runbook was followed
    still: str = ""  # what was not well then


class Watch:
    """Looks at a service in all places where it says how it is."""

    def __init__(self, service: Service, prometheus: Prometheus, client: httpx.AsyncClient) -> None:
        self.service = service
        self.prometheus = prometheus
        self.client = client
        self.read = 0  # of its log: what comes later is looked at

    async def check(self, name: str) -> Mapping[str, str]:
        answer = (await self.client.get(f"{self.service.front.url}/readyz")).json()
        found: Mapping[str, str] = answer["checks"][name]
        return found

    async def is_ready(self) -> bool:
        return bool((await self.client.get(f"{self.service.front.url}/readyz")).json()["status"] == "ready")

    async def on_page(self, name: str) -> str:
        """What the operator's page says of a check."""
        page = await self.client.get(f"{self.service.front.url}/operator/", params={"token": faulty.TOKEN})
        found = re.search(rf'data-detail="{name}">(.*?)</span>', page.text)
        assert found is not None, page.text[:2_000]
        return html.unescape(re.sub(r"<[^>]*>", "", found[1]))

    async def firing(self) -> list[Mapping[str, Any]]:
        answer = await self.client.get(f"{self.prometheus.address}/api/v1/alerts")
        return [alert for alert in answer.json()["data"]["alerts"] if alert["state"] == "firing"]

    def lines(self) -> list[Mapping[str, str]]:
        """Those that name a cause, since the fault, of whoever answers requests."""
        lines = self.service.front.log[self.read :].splitlines()
        read = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [line for line in read if "labels.cause" in line]

    async def told(self, fault: Fault, began: float) -> Told:
        """Who says it, how soon, and with which cure; each place is looked at by itself, while the service is used."""
        told = Told()

        async def until_said(place: str, cure_said: Callable[[Fault], Awaitable[str | None]]) -> None:
            while (cure := await cure_said(fault)) is None:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.2)
            told.after[place], told.cures[place] = round(time.monotonic() - began, 1), cure

        async def in_use() -> None:
            while True:
                await self.use()
                await asyncio.sleep(0.2)

        using = asyncio.create_task(in_use())
        with suppress(TimeoutError):
            async with asyncio.timeout(began + TOLD_SECONDS - time.monotonic()):
                await asyncio.gather(*(until_said(place, place_says) for place, place_says in self._places.items()))
        using.cancel()
        await asyncio.wait({using})
        return told

    @property
    def _places(self) -> Mapping[str, Callable[[Fault], Awaitable[str | None]]]:
        return {
            "page": self._page_says,
            "readiness": self._readiness_says,
            "alert": self._alert_says,
            "log": self._log_says,
        }

    async def _readiness_says(self, fault: Fault) -> str | None:
        check = await self.check(fault.check)
        return check["cure"] if check["cause"] == fault.cause else None

    async def _page_says(self, fault: Fault) -> str | None:
        page = await self.on_page(fault.check)
        return page.rpartition(" · ")[2] if page.startswith(f"{fault.cause}: ") else None

    async def _alert_says(self, fault: Fault) -> str | None:
        fire = {(alert["labels"]["alertname"], alert["labels"].get("cause")) for alert in await self.firing()}
        return "" if (fault.alert, fault.cause) in fire else None

    async def _log_says(self, fault: Fault) -> str | None:
        said = [
            line for line in self.lines() if (line["labels.check"], line["labels.cause"]) == (fault.check, fault.cause)
        ]
        return said[0]["labels.cure"] if said else None

    async def until_well(self, seconds: float) -> str:
        """Return when nothing is told any more; what still is, when the time is over."""
        try:
            async with asyncio.timeout(seconds):
                while not (await self.is_ready() and not await self.firing()):
                    await self.use()
                    await asyncio.sleep(0.2)
        except TimeoutError:
            answer = await self.client.get(f"{self.service.front.url}/readyz")
            return f"{answer.text}\n{await self.firing()}\n{self.service.front.tail()}"
        return ""

    async def use(self) -> None:
        with suppress(httpx.TransportError):
            await self.service.use(self.client)


@asynccontextmanager
async def watched(begun: AbstractAsyncContextManager[Service]) -> AsyncIterator[Watch]:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(begun)
        prometheus = Prometheus(stack.enter_context(folders.temporary()) / "prometheus")
        places = {process.name: _place_of(process.log) for process in service.processes}
        prometheus.watch(places, MONITORING / "alerts.yml", pace=_pace())
        stack.callback(prometheus.remove)
        await asyncio.to_thread(prometheus.start)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=10, follow_redirects=True))
        watch = Watch(service, prometheus, client)
        assert not (still := await watch.until_well(WELL_SECONDS)), still
        yield watch


def _place_of(log: str) -> str:
    found = re.search(r"(?:answers at|Probes:) http://([\d.]+:\d+)", log)
    assert found is not None, log
    return found[1]


def _pace() -> str:
    """How often the configuration that is shipped has Prometheus look."""
    shipped = re.search(r"^global:\n((?:  \w+: \w+\n)+)", (MONITORING / "prometheus.yml").read_text(), re.MULTILINE)
    assert shipped is not None
    return f"{{{', '.join(line.strip() for line in shipped[1].splitlines())}}}"


async def made(fault: Fault, watch: Watch) -> Told:
    """Make the fault and see who tells of it, then follow its runbook and see whether all is well."""
    service = watch.service
    watch.read = len(service.front.log)
    began = time.monotonic()
    breaking = asyncio.create_task(asyncio.to_thread(service.break_it))
    told = await watch.told(fault, began)
    await breaking
    firing = await watch.firing()
    told.lines = watch.lines()
    told.alerts = {(alert["labels"]["alertname"], alert["labels"].get("cause", "")) for alert in firing}
    for alert in firing[:1]:
        told.commands = await follow(
            page_of(alert["annotations"]["runbook_url"]),
            environ=service.environ,
            cwd=service.folder,
            units=service.units,
            words=service.words,
            meanwhile=service.meanwhile,
        )
    ended = time.monotonic()
    told.still = await watch.until_well(WELL_SECONDS)
    told.well_after = round(time.monotonic() - ended, 1)
    told.lines_then = watch.lines()[len(told.lines) :]
    print(fault, told)
    return told


async def all_made(begin: Mapping[str, Callable[[], AbstractAsyncContextManager[Service]]]) -> dict[str, Any]:
    """All faults at once, each of a service of its own; for each what was told, or why it could not be made."""
    everybody_works = asyncio.Barrier(len(begin))

    async def story(name: str) -> Told:
        async with AsyncExitStack() as stack:
            try:
                watch = await stack.enter_async_context(watched(begin[name]()))
            finally:
                await everybody_works.wait()
            return await made(FAULTS[name], watch)

    return dict(zip(begin, await asyncio.gather(*map(story, begin), return_exceptions=True), strict=True))


@pytest.fixture(scope="module")
def stories(
    databases: Databases, rabbitmq_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Told]]:
    if lacking := Prometheus.missing():
        pytest.skip(f"Prometheus is not installed: it lacks {', '.join(lacking)}")

    def folder() -> Path:
        return tmp_path_factory.mktemp("fault")

    with databases.fresh() as database_url, ThreadPoolExecutor(1) as thread:
        begin = {
            "broker stopped": lambda: faulty.broker_stopped(folder()),
            "provider down": lambda: faulty.provider_down(folder()),
            "poison message": lambda: faulty.poison_message(folder(), rabbitmq_url),
            "stuck consumer": lambda: faulty.stuck_consumer(folder(), rabbitmq_url, database_url),
            "full disk": lambda: faulty.full_disk(folder()),
        }
        assert begin.keys() == FAULTS.keys()
        running: Future[dict[str, Any]] = thread.submit(asyncio.run, all_made(begin))

        def story(name: str) -> Told:
            told: Told | BaseException = running.result()[name]
            if isinstance(told, BaseException):
                raise told
            return told

        yield story


@pytest.mark.parametrize("name", FAULTS)
def test_page_readiness_alert_and_log_say_the_same_of_a_fault_within_15_seconds(
    name: str, stories: Callable[[str], Told]
) -> None:
    """The same cause and the same cure; one alert fires, and one line is written however long it lasts."""
    fault, told = FAULTS[name], stories(name)

    lines = [(line["log.level"], line["labels.check"], line["labels.cause"]) for line in told.lines]

    assert told.after.keys() == PLACES, told
    assert max(told.after.values()) <= TOLD_SECONDS
    assert len({told.cures[place] for place in PLACES - {"alert"}}) == 1
    assert told.alerts == {(fault.alert, fault.cause)}
    assert lines == [("warning", fault.check, fault.cause)]


@pytest.mark.parametrize("name", FAULTS)
def test_the_runbook_of_a_fault_ends_it_when_it_is_followed(name: str, stories: Callable[[str], Told]) -> None:
    """And nothing else is told on the way there."""
    fault, told = FAULTS[name], stories(name)

    named = {(line["labels.check"], line["labels.cause"]) for line in told.lines_then}

    assert len(told.commands) > 1
    assert told.commands[-1].code == 0, told.commands
    assert told.still == ""
    assert told.lines_then[0]["log.level"] == "info"
    assert named == {(fault.check, fault.cause)}
