"""What faults cost: little memory while they last, and nothing of anything afterwards."""

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.http_client import HttpClient
from domain.model.weather import City
from ports.errors import PortError
from tests.certificates import NOBODY_TRUSTED
from tests.clock import ManualClock
from tests.hurried import hurried
from tests.integration.weather.greedy_child import FAT
from tests.integration.weather.questions import QUESTIONS, Question
from tests.integration.weather.waiting import until
from tests.stand_ins.weather_faults import FAULTS, GREEDY_FAULTS
from tests.stand_ins.weather_server import WeatherServer, as_the_providers_do, only

MEMORY_MOST = 5_000_000
PATIENCE = 3.0

Told = dict[str, object]


@asynccontextmanager
async def asking(question: Question, origin: str) -> AsyncIterator[Callable[[str], Awaitable[Told]]]:
    """A process that asks and tells, see `greedy_child`."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"{__package__}.greedy_child", question.name, origin),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    told, telling = child.stdout, child.stdin

    async def ask(fault: str) -> Told:
        telling.write(f"{fault}\n".encode())
        answer: Told = json.loads(await told.readline() or b"{}")
        return answer

    try:
        yield ask
        telling.close()
        assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def test_no_answer_however_large_costs_much_memory_or_time(question: Question, server: WeatherServer) -> None:
    """The most that a process of its own ever had, which is all that it has read, kept and built."""
    async with asking(question, server.origin) as ask:
        await ask("none at all, so that everything is in place")
        told = []
        for fault in GREEDY_FAULTS:
            server.always(only(question.path, FAULTS[fault]))
            told.append(await ask(fault))
        fat = await ask(FAT)

    for line in told:
        print(line)
        assert line["outcome"] in {"Unavailable", "Rejected"}, line
        assert float(str(line["bytes"])) < MEMORY_MOST, line
        assert float(str(line["seconds"])) < PATIENCE, line
    assert float(str(fat["bytes"])) > MEMORY_MOST, "the measure sees nothing"


def descriptors() -> int:
    """How many files, sockets and pipes this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


async def test_all_faults_together_leave_nothing_behind(server: WeatherServer, clock: ManualClock) -> None:
    """Each fault meets each question three times, several at once: connections, tasks and descriptors are as before."""
    connections = 4
    tasks_before, open_before = asyncio.all_tasks(), descriptors()
    http = HttpClient(clock, connections=connections, tls=NOBODY_TRUSTED)
    await http.start()

    for fault in FAULTS:
        for question in QUESTIONS.values():
            server.always(only(question.path, FAULTS[fault]))
            weather = question.build(server.origin, http, clock)
            three = (weather.current(City("Berlin")) for _ in range(3))
            outcomes = await hurried(asyncio.gather(*three, return_exceptions=True))
            assert all(isinstance(outcome, PortError) for outcome in outcomes), (fault, outcomes)
    server.always(as_the_providers_do)

    for question in QUESTIONS.values():  # no slot and no connection is lost, so that as many as ever are served at once
        weather = question.build(server.origin, http, clock)
        answers = await asyncio.gather(*(weather.current(City("Berlin")) for _ in range(connections)))
        assert [now.city for now in answers] == ["Berlin"] * connections
    assert await until(lambda: server.open_connections <= connections)
    await http.stop()
    assert await until(lambda: server.open_connections == 0)
    gc.collect()
    assert await until(lambda: asyncio.all_tasks() <= tasks_before)
    assert await until(lambda: descriptors() <= open_before)


@pytest.mark.parametrize("fault", ["hang", "hang in the body", "one byte a second", "flood of headers", "reset"])
async def test_callers_that_leave_during_a_fault_leave_nothing_behind(
    question: Question, server: WeatherServer, clock: ManualClock, fault: str
) -> None:
    tasks_before, open_before = asyncio.all_tasks(), descriptors()
    http = HttpClient(clock, connections=2, tls=NOBODY_TRUSTED)
    await http.start()
    server.always(only(question.path, FAULTS[fault]))
    weather = question.build(server.origin, http, clock)

    for pauses in range(0, 60, 3):
        call = asyncio.create_task(weather.current(City("Berlin")))
        for _ in range(pauses):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    server.always(as_the_providers_do)
    answers = await asyncio.gather(*(weather.current(City("Berlin")) for _ in range(2)))
    await http.stop()

    assert [now.city for now in answers] == ["Berlin"] * 2
    assert await until(lambda: server.open_connections == 0)
    assert await until(lambda: asyncio.all_tasks() <= tasks_before)
    assert await until(lambda: descriptors() <= open_before)
