"""A process is told to die at each named step of a message's life, and nothing is lost, doubled or left over."""

import asyncio
import signal
from pathlib import Path

import pytest

from ports.crash_points import CrashPoint
from tests.integration.crashes.ledger import check, drain, pending
from tests.integration.crashes.service import Promised, Service, wait_until_stopped

DESK = CrashPoint.DESK_MID_REPLAY  # reached by a person only: see test_desk.py
# With tasks that are born claimed the relay hands over only what a dead process left.
ON_ITS_WAY = [point for point in CrashPoint if point not in {DESK, CrashPoint.TASK_AFTER_ENQUEUE}]


@pytest.mark.parametrize("point", ON_ITS_WAY, ids=str)
@pytest.mark.parametrize("time", [1, 20], ids=["first time", "under load"])
async def test_death_at_a_step_loses_and_doubles_nothing(point: CrashPoint, time: int, tmp_path: Path) -> None:
    promised = Promised()
    with Service(tmp_path, CROSSDOCK_FAULT=f"{point}:kill:{time}") as doomed:
        await promised.load(doomed, orders=2_000)
        assert await asyncio.to_thread(doomed.process.wait, 30) == -signal.SIGKILL, "the step was never reached"

    with Service(tmp_path) as service:
        await promised.load(service, clients=1, orders=3)
        await asyncio.to_thread(drain, service, tmp_path / "crossdock.db")
        print(check(service, tmp_path / "crossdock.db", promised))


async def test_death_while_handing_over_what_a_dead_process_left(tmp_path: Path) -> None:
    promised = Promised()
    with Service(tmp_path, CROSSDOCK_FAULT=f"{CrashPoint.TASK_BEFORE_WORK}:kill") as first:
        await promised.load(first, orders=50)
        await asyncio.to_thread(first.process.wait, 30)
    assert pending(tmp_path / "crossdock.db").get("task ready")

    with Service(tmp_path, CROSSDOCK_FAULT=f"{CrashPoint.TASK_AFTER_ENQUEUE}:kill") as second:
        assert await asyncio.to_thread(second.process.wait, 30) == -signal.SIGKILL

    with Service(tmp_path) as service:
        await asyncio.to_thread(drain, service, tmp_path / "crossdock.db")
        print(check(service, tmp_path / "crossdock.db", promised))


async def test_a_relay_that_was_frozen_past_its_lease_wakes_up_and_spoils_nothing(tmp_path: Path) -> None:
    """Another service takes over meanwhile; the first can neither mark nor send again what is done."""
    path = tmp_path / "crossdock.db"
    promised = Promised()
    with Service(tmp_path, CROSSDOCK_FAULT=f"{CrashPoint.RELAY_BEFORE_MARK}:freeze:2") as frozen:
        # The first batch is the registration's event; the order's freezes the process.
        await promised.load(frozen, clients=1, orders=0)
        await asyncio.to_thread(drain, frozen, path)
        await promised.order(frozen)
        await asyncio.to_thread(wait_until_stopped, frozen)

        with Service(tmp_path) as service:
            await asyncio.to_thread(drain, service, path)
            frozen.process.send_signal(signal.SIGCONT)
            await promised.load(service, clients=1, orders=3)
            await asyncio.to_thread(drain, service, path)
            print(check(service, path, promised))
            assert frozen.is_alive


def test_every_step_has_a_case() -> None:
    covered = {*ON_ITS_WAY, CrashPoint.TASK_AFTER_ENQUEUE, DESK}

    assert covered == set(CrashPoint)
