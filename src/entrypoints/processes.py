"""The processes: each plays one role from its start until it is told to end."""

import asyncio
import logging
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrypoints.container import Container, build, migrate_database
from entrypoints.edge import edge_options
from entrypoints.ending import end_at_the_latest
from entrypoints.listening import address_of, listen
from entrypoints.log_level import switch_on_signal
from entrypoints.observability import speak_as
from entrypoints.probes import answering_probes, probe_listener, probes_told
from entrypoints.roles import Role, check
from entrypoints.settings import Settings
from entrypoints.settings_ports import OidcIdentity
from entrypoints.startup import pipeline, spare_the_collector, started
from ports import crash_points

if TYPE_CHECKING:
    from entrypoints.web.docs import DocsClient


log = logging.getLogger("crossdock")


def migrate(settings: Settings) -> bool:
    """Bring the database to the newest schema; whether there was anything to do."""
    return migrate_database(settings)


def run_up(settings: Settings) -> int:
    """Migrate, then run all roles in this process until it is told to end; the exit code."""
    container = _prepared(Role.UP, settings)
    migrate(settings)
    with listen(settings.server.host, settings.server.port, variable="PORT") as listener:
        return _run(_answer(container, Role.UP, listener, operator_token(settings)))


def run_api(settings: Settings, *, workers: int = 1) -> int:
    """Answer requests until told to end, in so many processes on one port; the exit code."""
    container = _prepared(Role.API, settings)
    with listen(settings.server.host, settings.server.port, variable="PORT") as listener:
        token = operator_token(settings)
        if workers == 1:
            return _run(_answer(container, Role.API, listener, token))
        from entrypoints.workers import supervise

        _say(_banner(settings, listener, token))
        # One that was set they read where it stands: out of a file it shall not get into an environment.
        made_up = token if settings.server.operator_token is None else None
        return asyncio.run(supervise(listener, workers, token=made_up, grace=settings.server.grace))


def run_api_worker(settings: Settings, number: int, place: str) -> int:
    """Be one of several processes that answer requests on the socket of this file number; the exit code.

    ``place`` is the path that is this one's in the folder of theirs.
    """
    from entrypoints.metrics.siblings import Siblings
    from entrypoints.workers import inherited, watch_parent

    given = settings.server.operator_token
    token = None if given is None else given.get_secret_value()
    container = _prepared(Role.API, settings)
    siblings = Siblings(container.metrics(), Path(place).parent, Path(place).name)

    @asynccontextmanager
    async def one_of_several() -> AsyncIterator[None]:
        watch_parent()
        async with siblings.listening():
            yield

    with inherited(number) as listener:
        return _run(_answer(container, Role.API, listener, token, beside=one_of_several))


def run_role(role: Role, settings: Settings) -> int:
    """Relay or consume until told to end; the exit code."""
    container = _prepared(role, settings)
    with probe_listener(settings) or nullcontext() as listener:
        return _run(_work(container, role, listener))


def run_worker(settings: Settings, *, concurrency: int | None) -> int:
    """Perform what Celery brings until told to end, in so many processes; the exit code."""
    check(Role.WORKER, settings)
    from entrypoints.celery_worker import run_worker as run

    return run(settings, concurrency=concurrency)


def operator_token(settings: Settings) -> str | None:
    """The token that was set; else a fresh one on loopback; else None, which turns the operator paths off."""
    given = settings.server.operator_token
    if given is not None:
        return given.get_secret_value()
    return secrets.token_urlsafe(24) if settings.server.on_loopback else None


def _prepared(role: Role, settings: Settings) -> Container:
    check(role, settings)
    speak_as(role, settings)
    if settings.mailer.backend == "log" and not settings.server.on_loopback:
        log.warning("mails are not sent: they are lines of this log, with the addresses of their recipients")
    switch_on_signal()
    crash_points.arm(settings.faults.armed)
    return build(settings)


async def _answer(
    container: Container,
    role: Role,
    listener: socket.socket,
    token: str | None,
    *,
    beside: Callable[[], AbstractAsyncContextManager[None]] | None = None,
) -> int:
    from entrypoints.server import serve
    from entrypoints.web.app import create_app

    settings = container.settings()
    app = create_app(
        container,
        operator_token=token,
        weather_ttl=settings.weather.ttl,
        topic_prefix=settings.event_broker.topic_prefix,
        partitions=settings.event_broker.partitions,
        docs_client=_docs_client(settings),
        tracing=container.tracing(),
        edge=edge_options(container),
    )
    async with started(container, role), pipeline(container, role):
        spare_the_collector()
        if beside is None:
            _say(_banner(settings, listener, token))
        async with nullcontext() if beside is None else beside():
            await serve(app, listener, grace=settings.server.grace / 2, hurry=container.weather().stop)
        end_at_the_latest(settings.server.grace / 2)
    return 0


def _docs_client(settings: Settings) -> "DocsClient | None":
    from entrypoints.web.docs import DocsClient

    chosen = settings.identity
    if not isinstance(chosen, OidcIdentity) or chosen.docs_client_id is None:
        return None
    return DocsClient(chosen.docs_client_id, chosen.audience or "")


async def _work(container: Container, role: Role, listener: socket.socket | None) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with (
        started(container, role),
        pipeline(container, role),
        answering_probes(container, listener, told),
    ):
        spare_the_collector()
        _say(f"The {role} works.{probes_told(listener)} Stop with Ctrl-C.")
        await told.wait()
        end_at_the_latest(container.settings().server.grace)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for the person who started it


def _run(main: Coroutine[Any, Any, int]) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def _banner(settings: Settings, listener: socket.socket, token: str | None) -> str:
    base = address_of(listener)
    lines = [f"Crossdock answers at {base}", f"  API docs   {base}/docs"]
    if token is None:
        lines.append("  operator   off: set CROSSDOCK_OPERATOR_TOKEN to use it beyond loopback")
    elif settings.server.operator_token is None:
        lines.append(f"  operator   {base}/operator/?token={token}")
    else:
        lines.append(f"  operator   {base}/operator/?token=… (the one you set)")
    return "\n".join((*lines, "Stop with Ctrl-C."))
