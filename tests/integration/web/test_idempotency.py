"""One key, many requests, several processes, and processes that die: one order, and one answer."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.persistence.sql.migrations.upgrade import upgrade_postgresql
from ports.crash_points import CrashPoint
from prove.process import Process

NOBODY = "127.0.0.1:1"  # a port that nobody listens on: to be answered, nobody needs a broker
AT_ONCE = 50
STEPS = (CrashPoint.API_BEFORE_COMMIT, CrashPoint.COMMIT_MID_BATCH, CrashPoint.API_AFTER_COMMIT)
LINE = {"sku": "apple", "quantity": 2, "unit_price": "9.90"}
KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'


@pytest.fixture
def migrated(database_url: str) -> str:
    """Where a PostgreSQL database is that nobody else uses."""
    upgrade_postgresql(database_url)
    return database_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same, or a file that is yet to be made."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/crossdock.db"
    url: str = request.getfixturevalue("migrated")
    return url


@contextmanager
def serving(folder: Path, database: str, *arguments: str, name: str = "", **settings: str) -> Iterator[Process]:
    """All of it in one process on SQLite; on PostgreSQL those that answer, and nobody behind them."""
    command = ("up",) if database.startswith("sqlite") else ("api", *arguments)
    broker = {} if command == ("up",) else {"CROSSDOCK_EVENT_BROKER": "kafka", "KAFKA_BOOTSTRAP_SERVERS": NOBODY}
    common = {"PORT": "0", "DATABASE_URL": database, "CROSSDOCK_WEATHER": "sample", "CROSSDOCK_LOG_FORMAT": "json"}
    with Process(folder, *command, name=name, settings={**common, **broker, **settings}) as process:
        yield process


async def registered(url: str) -> str:
    """The id of a new user."""
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        answer = await client.post("/register-user/", json={"email": "ann@example.com"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def placing(url: str, user: str, times: int, *, quantity: int = 2) -> list[httpx.Response | None]:
    """The same order so many times at once, each over a connection of its own; None where the answer did not come."""

    async def place() -> httpx.Response | None:
        order = {"user_id": user, "currency": "EUR", "lines": [LINE | {"quantity": quantity}]}
        try:
            async with httpx.AsyncClient(base_url=url, timeout=20) as client:
                return await client.post("/orders/", json=order, headers={"Idempotency-Key": KEY})
        except httpx.TransportError:
            return None

    return await asyncio.gather(*(place() for _ in range(times)))


async def orders(url: str) -> list[Any]:
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        items: list[Any] = (await client.get("/orders/?limit=100")).json()["items"]
    return items


def the_one_answer(answers: list[httpx.Response | None]) -> bytes:
    """What all of them say who were answered, byte for byte."""
    given = [answer for answer in answers if answer is not None]
    assert Counter(answer.status_code for answer in given) == {201: len(given)}, [answer.text for answer in given]
    (body,) = {answer.content for answer in given}
    return body


def replayed(answers: list[httpx.Response | None]) -> int:
    return sum(answer is not None and "idempotency-replayed" in answer.headers for answer in answers)


async def test_fifty_requests_at_once_with_one_key_place_one_order(database: str, tmp_path: Path) -> None:
    """On PostgreSQL two processes share the port, and neither knows what the other is at."""
    with serving(tmp_path, database, "--workers", "2") as service:
        user = await registered(service.url)

        answers = await placing(service.url, user, AT_ONCE)
        again = await placing(service.url, user, 4)
        other = await placing(service.url, user, 4, quantity=3)

        assert None not in answers
        assert the_one_answer(answers) == the_one_answer(again)
        assert (replayed(answers), replayed(again)) == (AT_ONCE - 1, 4)
        assert {answer and answer.json()["code"] for answer in other} == {"idempotency-key-reused"}
        assert len(await orders(service.url)) == 1


async def test_two_processes_are_sent_the_same_at_once(migrated: str, tmp_path: Path) -> None:
    with (
        serving(tmp_path, migrated, name="one") as one,
        serving(tmp_path, migrated, name="two") as two,
    ):
        user = await registered(one.url)

        halves = await asyncio.gather(*(placing(each.url, user, AT_ONCE // 2) for each in (one, two)))

        answers = [answer for half in halves for answer in half]
        assert None not in answers
        assert the_one_answer(answers)
        assert replayed(answers) == AT_ONCE - 1
        assert len(await orders(two.url)) == 1


@pytest.mark.parametrize("point", STEPS)
async def test_after_kill_nine_the_key_gives_one_id_that_stays(
    database: str, tmp_path: Path, point: CrashPoint
) -> None:
    with serving(tmp_path, database, name="first") as first:
        user = await registered(first.url)
    with serving(tmp_path, database, name="doomed", CROSSDOCK_FAULT=f"{point}:kill") as doomed:
        assert await placing(doomed.url, user, 8) == [None] * 8
        assert await asyncio.to_thread(doomed.process.wait, 30) == -signal.SIGKILL, "the step was never reached"

    with serving(tmp_path, database, name="next") as service:
        answers = await placing(service.url, user, 8)
        again = await placing(service.url, user, 1)

        assert None not in answers
        assert the_one_answer(answers) == the_one_answer(again)
        assert replayed(answers) == (8 if point is CrashPoint.API_AFTER_COMMIT else 7)
        assert len(await orders(service.url)) == 1


@pytest.mark.parametrize("point", STEPS)
@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_another_process_goes_on_with_the_key_that_a_dead_or_stopped_one_holds(
    migrated: str, tmp_path: Path, point: CrashPoint, how: str
) -> None:
    with (
        serving(tmp_path, migrated, name="other") as other,
        serving(tmp_path, migrated, name="doomed", CROSSDOCK_FAULT=f"{point}:{how}") as doomed,
    ):
        user = await registered(other.url)
        lost = asyncio.create_task(placing(doomed.url, user, 1))
        await asyncio.to_thread(wait_until_it_holds_the_key, doomed)

        answers = await placing(other.url, user, 8)

        assert None not in answers
        body = the_one_answer(answers)
        if how == "freeze":
            doomed.process.send_signal(signal.SIGCONT)
            assert the_one_answer(await lost) == body
        else:
            assert await lost == [None]
        assert the_one_answer(await placing(other.url, user, 1)) == body
        assert len(await orders(other.url)) == 1


def wait_until_it_holds_the_key(doomed: Process) -> None:
    """Wait until it is stopped, or dead."""
    deadline = time.monotonic() + 30
    while doomed.is_alive and not doomed.is_stopped:
        assert time.monotonic() < deadline, "the step was never reached"
        time.sleep(0.02)
