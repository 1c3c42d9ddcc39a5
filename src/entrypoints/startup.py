"""How each process wakes and sleeps: parts are entered in order in one exit stack and left in reverse, each bounded."""

import asyncio
import gc
import logging
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from domain.delivery.dead_letters import DeadLetters
from domain.delivery.loop import Loop
from domain.delivery.perform import RENEW_SECONDS
from entrypoints.consumer import housekeeping_loop, retry_loop
from entrypoints.container import Container, build, migrate_database
from entrypoints.observability import configure_logging
from entrypoints.relay import relay_loops
from entrypoints.settings import Settings
from ports import crash_points
from ports.deliveries import Delivery, Lane
from ports.errors import PortError

log = logging.getLogger("crossdock")


class StartError(Exception):
    """The process cannot start; the message says why and what to do."""


# --- parts ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def started(container: Container) -> AsyncIterator[None]:
    """Everything that the container's adapters need to work: open inside, closed afterwards."""
    grace = container.settings().server.grace
    async with AsyncExitStack() as stack:
        parts: list[Any] = [container.persistence(), container.event_broker()]
        if container.settings().weather.backend != "sample":
            parts.append(container.http())
        parts += [container.weather(), container.task_queue()]
        for part in parts:
            if hasattr(part, "start"):
                await part.start()
            stack.push_async_callback(_bounded, part.stop, grace)
        yield


@asynccontextmanager
async def pipeline(container: Container) -> AsyncIterator[None]:
    """Relay, consumer and performer of this process, running inside and given back afterwards."""
    event_relay, task_relay = relay_loops(container)
    retry = retry_loop(container)
    renew = Loop("renew", container.perform().renew, container.clock(), poll_seconds=RENEW_SECONDS)
    loops = [event_relay, task_relay, retry, renew, housekeeping_loop(container)]
    task_queue = container.task_queue()
    process = container.process()

    async def recorded(deliveries: Sequence[Delivery]) -> None:
        ours = [one for one in deliveries if one.lane is Lane.TASK and one.holder == process]
        if ours:
            await task_queue.enqueue(ours)
        lanes = {one.lane for one in deliveries}
        if Lane.EVENT in lanes:
            event_relay.wake()
        if Lane.RECEIVED in lanes:
            retry.wake()
        if Lane.TASK in lanes and not ours:
            task_relay.wake()

    container.unit_of_work().listeners.append(recorded)
    container.dead_letters().listeners.append(recorded)
    container.health().loops.extend(loops)
    try:
        async with running(*(loop.run() for loop in loops), container.receive().run()):
            yield
    finally:
        # After its loop has ended, which would take again what is given back here.
        await _bounded(container.event_relay().stop, 1.0)


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


# --- processes --------------------------------------------------------------------------------------------------------


def migrate(settings: Settings) -> bool:
    """Bring the database to the newest schema; whether there was anything to do."""
    return migrate_database(settings)


@asynccontextmanager
async def desk(settings: Settings) -> AsyncIterator[DeadLetters]:
    """The desk of a database, beside whatever else works on it."""
    crash_points.arm(settings.faults.armed)
    container = build(settings)
    persistence = container.persistence()
    await persistence.start()
    try:
        yield container.dead_letters()
    finally:
        await persistence.stop()


def run_up(settings: Settings) -> int:
    """Migrate, then run all roles in this process until it is told to end; the exit code."""
    configure_logging(settings.logging.format, settings.logging.level, secrets=settings.secrets)
    crash_points.arm(settings.faults.armed)
    migrate(settings)
    container = build(settings)
    with _listening(settings.server.host, settings.server.port) as listener:
        return _run(_up(container, listener))


async def _up(container: Container, listener: socket.socket) -> int:
    from entrypoints.server import serve
    from entrypoints.web.app import create_app

    settings = container.settings()
    token = operator_token(settings)
    app = create_app(container, operator_token=token, weather_ttl=settings.weather.ttl)
    async with started(container), pipeline(container):
        spare_the_collector()
        print(_banner(settings, listener, token), file=sys.stderr, flush=True)  # noqa: T201 - for the person who started it
        await serve(app, listener, grace=settings.server.grace / 2)
    return 0


def spare_the_collector() -> None:
    """Keep what was made so far, which lives as long as the process, out of every later garbage collection.

    A full collection stops everything for 50 ms with these imports. A request makes some hundred objects, nearly none
    of them in a cycle, so the others may be rare as well.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def operator_token(settings: Settings) -> str | None:
    """The token that was set; else a fresh one on loopback; else None, which turns the operator paths off."""
    given = settings.server.operator_token
    if given is not None:
        return given.get_secret_value()
    return secrets.token_urlsafe(24) if settings.server.on_loopback else None


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = error.strerror or str(error)
        raise StartError(
            f"cannot listen on {host} port {port}: {why}. Choose another with PORT=…, or PORT=0."
        ) from error
    with listener:
        yield listener


def _run(main: Coroutine[Any, Any, int]) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def _banner(settings: Settings, listener: socket.socket, token: str | None) -> str:
    host, port = listener.getsockname()[:2]
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    lines = [f"Crossdock answers at {base}", f"  API docs   {base}/docs"]
    if token is None:
        lines.append("  operator   off: set CROSSDOCK_OPERATOR_TOKEN to use it beyond loopback")
    elif settings.server.operator_token is None:
        lines.append(f"  operator   {base}/operator/?token={token}")
    else:
        lines.append(f"  operator   {base}/operator/?token=… (the one you set)")
    return "\n".join((*lines, "Stop with Ctrl-C."))
