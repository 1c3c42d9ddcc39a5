"""Where each named step of a message's life happens, so that the process which reaches it can be told to die there."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

from ports.crash_points import CrashPoint
from prove.process import ROOT
from prove.world import World

REACHED_SECONDS = 60.0
LOOK_SECONDS = 0.05
TIMES = 3  # not at the first message, so that others are under way


async def in_role(world: World, role: str, fault: str, *others: str) -> None:
    """All that play the role live until they reach the step; when one has, the others begin another life too."""
    fleet = world.fleet
    names = [name for one in (role, *others) for name in fleet.of(one)]
    lives = {name: fleet.members[name].lives for name in names}
    await fleet.arm(names, fault)
    await _until(lambda: any(fleet.members[name].lives > lives[name] + 1 for name in names), f"{role} at {fault}")
    for name in names:
        if fleet.members[name].lives == lives[name] + 1:
            await fleet.kill(name)


async def in_worker(world: World, fault: str) -> None:
    """A child of the worker dies, and the parent has another in its place, which would die as well: then all of it."""
    if world.choice.queue != "celery":
        await in_role(world, "consumer", fault)
        return
    fleet = world.fleet
    [name] = fleet.of("worker")
    await fleet.arm([name], fault)
    await fleet.until_ready(name)
    worker = fleet.members[name].process
    children = {child.pid for child in worker.family()[1:]}
    await _until(
        lambda: not worker.is_alive or bool(children - {child.pid for child in worker.family()[1:]}),
        f"a child of the worker at {fault}",
    )
    await fleet.kill(name)


async def handing_over(world: World, fault: str) -> None:
    """The relay gives tasks to Celery. In the background, tasks are handed over only when a dead process left them."""
    if world.choice.queue == "celery":
        await in_role(world, "relay", fault)
        return
    await in_role(world, "consumer", f"{CrashPoint.TASK_BEFORE_WORK}:kill:{TIMES}")
    await in_role(world, "consumer", fault.removesuffix(f":{TIMES}"), "api")  # whoever performs takes over what is left


async def on_the_desk(world: World, fault: str) -> None:
    """A message that nobody can read is on the desk; its replay is killed; it is still there, and discarded."""
    subject = f"unreadable-{uuid4()}"
    attributes = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "prove",
        "type": "crossdock.order.created.v1",
        "subject": subject,
        "sequence": "1",
    }
    await world.send("order_events", attributes, b"no JSON")
    found: list[str] = []
    deadline = time.monotonic() + REACHED_SECONDS
    while not found:
        if time.monotonic() > deadline:
            raise TimeoutError("a message that cannot be read did not come to the desk")
        _, said = await _desk(world, "list", "--json")
        found = [letter["id"] for letter in json.loads(said) if letter["subject"] == subject]

    code, _ = await _desk(world, "replay", found[0], CROSSDOCK_FAULT=fault.removesuffix(f":{TIMES}"))
    if code != -signal.SIGKILL:
        raise TimeoutError(f"the replay was not killed: it ended with {code}")
    _, said = await _desk(world, "list", "--json")
    if found[0] not in said:
        raise AssertionError("the letter is not on the desk after a replay that was killed")
    code, said = await _desk(world, "discard", found[0])
    if code:
        raise AssertionError(f"the letter could not be discarded: {said}")


Case = Callable[[World, str], Awaitable[None]]


def _role(role: str) -> Case:
    return lambda world, fault: in_role(world, role, fault)


CASES: Mapping[CrashPoint, Case] = {
    CrashPoint.API_BEFORE_COMMIT: _role("api"),
    CrashPoint.API_AFTER_COMMIT: _role("api"),
    CrashPoint.COMMIT_MID_BATCH: _role("api"),
    CrashPoint.RELAY_AFTER_CLAIM: _role("relay"),
    CrashPoint.RELAY_BEFORE_PUBLISH: _role("relay"),
    CrashPoint.RELAY_AFTER_PUBLISH: _role("relay"),
    CrashPoint.RELAY_BEFORE_MARK: _role("relay"),
    CrashPoint.CONSUMER_BEFORE_EFFECT: _role("consumer"),
    CrashPoint.CONSUMER_AFTER_EFFECT: _role("consumer"),
    CrashPoint.CONSUMER_BEFORE_ACKNOWLEDGE: _role("consumer"),
    CrashPoint.TASK_AFTER_ENQUEUE: handing_over,
    CrashPoint.TASK_BEFORE_WORK: in_worker,
    CrashPoint.TASK_AFTER_WORK: in_worker,
    CrashPoint.DESK_MID_REPLAY: on_the_desk,
}


async def die_at(world: World, point: CrashPoint) -> None:
    """`KeyError` for a step that has no case here."""
    await CASES[point](world, f"{point}:kill:{TIMES}")
    world.tell(f"died at {point}")


async def _until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + REACHED_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"within {REACHED_SECONDS:g} s nobody died: {what}")
        await asyncio.sleep(LOOK_SECONDS)


async def _desk(world: World, *arguments: str, **more: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrypoints.cli", "dead-letters", *arguments),
        env={**world.fleet.settings, "PYTHONPATH": str(ROOT / "src"), **more},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), REACHED_SECONDS)
    assert process.returncode is not None
    return process.returncode, said.decode()
