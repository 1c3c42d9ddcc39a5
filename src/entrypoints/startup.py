"""How each process wakes and sleeps: parts are entered in order in one exit stack and left in reverse, each bounded."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from domain.delivery.dead_letters import DeadLetters
from domain.delivery.loop import Loop
from domain.delivery.perform import RENEW_SECONDS
from entrypoints.consumer import housekeeping_loop, retry_loop
from entrypoints.container import Container, build
from entrypoints.health import Status
from entrypoints.log_fields import identify
from entrypoints.metrics.process import pools
from entrypoints.relay import event_relay_loop, task_relay_loop
from entrypoints.roles import Role
from entrypoints.settings import Settings
from entrypoints.stage_checks import watch_stages
from ports import crash_points
from ports.deliveries import Delivery, Lane
from ports.delivery_counts import Step
from ports.errors import PortError

log = logging.getLogger("crossdock")


@asynccontextmanager
async def started(container: Container, role: Role = Role.UP) -> AsyncIterator[None]:
    """Everything that the adapters need for what ``role`` does: open inside, closed afterwards."""
    identify(node=container.process())
    grace = container.settings().server.grace
    health = container.health()
    async with AsyncExitStack() as stack:
        parts: list[Any] = [container.telemetry(), container.persistence()]
        health.ask("storage", container.persistence().ping, otherwise="unavailable", part=container.persistence())
        if role is not Role.WORKER:
            broker = container.event_broker()
            parts.append(broker)
            health.ask("event_broker", broker.identity, otherwise=_without_broker(container, role), part=broker)
        if role.answers:
            parts.extend((container.cache(), container.weather()))
            health.watch("cache", container.cache())
            health.watch("weather", container.weather())
            if set(container.settings().weather.providers) != {"sample"}:
                parts.insert(-1, container.http())
            parts.append(container.identity())
            if container.identity().wants_tokens:
                health.watch("identity", container.identity())
        parts.append(container.mailer())
        parts.append(container.metrics_export())  # its last word is of what the queue finished, and while all is open
        if role is not Role.WORKER:  # it is the other end of the queue
            parts.append(container.task_queue())
        else:
            container.backlog().leave_broker_alone()
        container.metrics().sources.append(partial(pools, parts))
        for part in parts:
            if hasattr(part, "stop"):  # also what could not start may have begun to
                stack.push_async_callback(_bounded, part.stop, grace)
            if hasattr(part, "start"):
                await part.start()
        yield


def _without_broker(container: Container, role: Role) -> Status:
    """How it is with a process while no event can be carried: some are for nothing else."""
    nothing_else = role is Role.CONSUMER or (role is Role.RELAY and not role.hands_over(container.settings()))
    return "unavailable" if nothing_else else "degraded"


@asynccontextmanager
async def pipeline(container: Container, role: Role = Role.UP) -> AsyncIterator[None]:
    """What ``role`` does besides answering requests, running inside and given back afterwards."""
    settings, persistence, health = container.settings(), container.persistence(), container.health()
    is_single = not role.answers  # what answers requests is of use as long as it can
    loops: dict[Lane, Loop] = {}
    background: list[Loop] = []
    works: list[Coroutine[Any, Any, None]] = []
    if role.relays:
        loops[Lane.EVENT] = event_relay_loop(container)
    if role.hands_over(settings):
        loops[Lane.TASK] = task_relay_loop(container)
    if role.consumes:
        loops[Lane.RECEIVED] = retry_loop(container)
        background.append(housekeeping_loop(container))
        works.append(container.receive().run())
        health.work(container.receive(), is_purpose=is_single)
        health.work(container.receive().reactions)
    watch_stages(container, role)
    if role.performs(settings):
        health.watch("performers", container.perform())
        background.append(Loop("renew", container.perform().renew, container.clock(), poll_seconds=RENEW_SECONDS))
    task_queue = container.task_queue()
    process, counts = container.process(), container.delivery_counts()

    async def recorded(deliveries: Sequence[Delivery]) -> None:
        ours = [one for one in deliveries if one.lane is Lane.TASK and one.holder == process]
        if ours:
            for one, outcome in zip(ours, await task_queue.enqueue(ours), strict=True):
                # What was not taken is handed over once nobody has claimed it, also after a refusal.
                counts.count(Step.DELIVERED if outcome is None else Step.POSTPONED, one)
        lanes = {one.lane for one in deliveries if one.holder != process}
        wake(lanes)
        if elsewhere := lanes - loops.keys():
            persistence.announce(elsewhere)

    def wake(lanes: Collection[Lane]) -> None:
        for lane in lanes:
            if lane in loops:
                loops[lane].wake()

    container.unit_of_work().listeners.append(recorded)
    container.dead_letters().listeners.append(recorded)
    persistence.listen(wake)
    all_loops = [*loops.values(), *background]
    for loop in all_loops:
        health.work(loop, is_purpose=is_single and loop in (loops.get(Lane.EVENT), loops.get(Lane.TASK)))
    try:
        async with running(*(loop.run() for loop in all_loops), *works, health.run()):
            yield
    finally:
        # After its loop has ended, which would take again what is given back here.
        if role.relays:
            await _bounded(container.event_relay().stop, 1.0)
        if role.hands_over(settings):
            await _bounded(container.task_relay().stop, 1.0)


@asynccontextmanager
async def running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """These run inside, and are cancelled and awaited afterwards."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _bounded(stop: Callable[[], Awaitable[None]], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop()
    except TimeoutError:
        log.warning("%s did not end within %g seconds", getattr(stop, "__qualname__", stop), seconds)
    except PortError as error:
        log.warning("%s: %s", getattr(stop, "__qualname__", stop), error)


@asynccontextmanager
async def desk(settings: Settings) -> AsyncIterator[DeadLetters]:
    """The desk of a database, beside whatever else works on it."""
    crash_points.arm(settings.faults.armed)
    container = build(settings)
    persistence = container.persistence()
    await persistence.start()
    letters = container.dead_letters()

    async def tell(changed: Sequence[Delivery]) -> None:
        persistence.announce({one.lane for one in changed})

    letters.listeners.append(tell)
    try:
        yield letters
    finally:
        await persistence.stop()


def spare_the_collector() -> None:
    """Keep what was made so far, which lives as long as the process, out of every later garbage collection.

    A full collection stops everything for 50 ms with these imports. A request makes some hundred objects, nearly none
    of them in a cycle, so the others may be rare as well.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
