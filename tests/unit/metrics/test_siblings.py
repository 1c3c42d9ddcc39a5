"""Several processes on one port: whoever is scraped tells of all, each series by the place of its process."""

import asyncio
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from entrypoints.metrics import siblings as siblings_module
from entrypoints.metrics.exposition import exposition
from entrypoints.metrics.family import Family, Kind
from entrypoints.metrics.registry import Metrics
from entrypoints.metrics.siblings import Siblings, written
from ports.histogram import Histogram
from tests.unit.metrics.scrape import Scrape, read


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="s-") as folder:  # the path of a socket has to be short
        yield Path(folder)


def counting(requests: int) -> Callable[[], Awaitable[Iterable[Family]]]:
    async def families() -> Iterable[Family]:
        took = Histogram((0.1, 1.0))
        for _ in range(requests):
            took.add(0.5)
        return [
            Family("requests", Kind.COUNTER, "Requests.", ("route",)).add("/", value=requests),
            Family("took_seconds", Kind.HISTOGRAM, "Seconds.").add(value=took),
            Family("waiting", Kind.GAUGE, "What waits, for all.", is_shared=True).add(value=7),
            Family("build", Kind.INFO, "What runs.", ("version",)).add("1", value=1),
        ]

    return families


async def told(metrics: Metrics) -> Scrape:
    return read(exposition(await metrics.of_all()).decode())


async def test_whoever_is_asked_tells_of_all_and_of_what_they_share_once(folder: Path) -> None:
    all_of_them = [Metrics(counting(requests)) for requests in (3, 40)]
    async with AsyncExitStack() as stack:
        for place, metrics in enumerate(all_of_them):
            await stack.enter_async_context(Siblings(metrics, folder, str(place)).listening())

        first, second = [await told(metrics) for metrics in all_of_them]

    assert first == second
    assert first("requests_total", route="/", worker="0") == 3
    assert first("requests_total", route="/", worker="1") == 40
    assert first("took_seconds_bucket", le="1.0") == 43
    assert first("took_seconds_bucket", le="0.1") == 0
    assert first("build_info", version="1", worker="1") == 1
    assert {key for key in first.samples if key[0] == "waiting"} == {("waiting", frozenset())}
    assert first("crossdock_worker_up") == 2


async def test_one_that_has_ended_is_told_of_and_left_out(folder: Path) -> None:
    metrics = Metrics(counting(3))
    async with Siblings(metrics, folder, "0").listening():
        gone = await asyncio.start_unix_server(lambda *_: None, folder / "1.sock")
        gone.close()

        found = await told(metrics)

    assert found("crossdock_worker_up", worker="0") == 1
    assert found("crossdock_worker_up", worker="1") == 0
    assert found("requests_total") == 3


@pytest.mark.parametrize("answer", [b"", b'[["requests", "coun', b"[["])
async def test_one_that_ends_in_the_middle_of_it_is_left_out(folder: Path, answer: bytes) -> None:
    metrics = Metrics(counting(3))

    def end_early(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with (
        Siblings(metrics, folder, "0").listening(),
        await asyncio.start_unix_server(end_early, folder / "1.sock"),
    ):
        found = await told(metrics)

    assert found("crossdock_worker_up", worker="1") == 0
    assert found("requests_total") == 3


async def test_one_that_hangs_holds_up_nobody_for_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings_module, "ANSWER_SECONDS", 0.05)
    metrics, left = Metrics(counting(3)), asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await left.wait()
        writer.close()

    async with (
        Siblings(metrics, folder, "0").listening(),
        await asyncio.start_unix_server(hang, folder / "1.sock"),
    ):
        found = await told(metrics)
        left.set()

    assert found("crossdock_worker_up", worker="1") == 0


async def test_one_that_has_no_socket_tells_its_own_while_it_asks_the_others(folder: Path) -> None:
    """One bound after the other would be longer than a scrape lasts."""
    asked = asyncio.Event()

    async def own() -> Iterable[Family]:
        asked.set()
        return []

    async def tell_when_it_is_asked(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.wait()
        writer.write(written([]))
        writer.close()

    async with await asyncio.start_unix_server(tell_when_it_is_asked, folder / "1.sock"):
        up, *_ = await Siblings(Metrics(own), folder, "parent").families()

    assert up.values == {("parent",): True, ("1",): True}


async def test_one_that_asks_and_takes_nothing_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process that was frozen in the middle of it."""
    monkeypatch.setattr(siblings_module, "ANSWER_SECONDS", 0.05)
    asked = asyncio.Event()

    async def much() -> Iterable[Family]:
        asked.set()
        family = Family("requests", Kind.COUNTER, "Requests.", ("route",))
        for number in range(100_000):
            family.add(f"/{number}", value=number)
        return [family]

    async with Siblings(Metrics(much), folder, "0").listening():
        before = asyncio.all_tasks()
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(folder / "0.sock"))
            async with asyncio.timeout(5):
                await asked.wait()

            _, waiting = await asyncio.wait(asyncio.all_tasks() - before, timeout=2)

    assert not waiting


async def test_one_takes_the_place_of_another_that_died(folder: Path) -> None:
    died = await asyncio.start_unix_server(lambda *_: None, folder / "0.sock")
    died.close()
    metrics = Metrics(counting(5))

    async with Siblings(metrics, folder, "0").listening():
        found = await told(metrics)

    assert found("requests_total", worker="0") == 5
    assert left_in(folder) == []


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_without_room_for_a_socket_each_tells_its_own(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(counting(5))

    async with Siblings(metrics, folder / ("long" * 30), "0").listening():
        found = await told(metrics)

    assert found("requests_total", route="/") == 5
    assert "tells its own metrics" in caplog.text
