"""The worker role: performs the tasks that Celery brings.

``crossdock worker`` and ``celery -A entrypoints.celery_worker worker`` do the same. Each process of a worker has one
event loop in a thread of its own, so that claims are renewed whatever Celery does meanwhile; what a message brings is
performed at once on it. With the pools ``solo`` and ``threads`` there is one such loop in all.
"""

import asyncio
import logging
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import typer
from billiard import active_children, current_process  # type: ignore[import-untyped]
from celery import bootsteps, signals  # type: ignore[import-untyped]
from celery.exceptions import Reject, SecurityWarning  # type: ignore[import-untyped]

from domain.delivery.attempts import Outage
from domain.delivery.failures import together
from domain.delivery.loop import Loop
from domain.delivery.perform import RENEW_SECONDS, Perform
from entrypoints.beats import BEAT_SECONDS, Beats
from entrypoints.cli_errors import load_settings, readable_errors
from entrypoints.container import Container, build
from entrypoints.ending import end_at_the_latest
from entrypoints.listening import StartError
from entrypoints.log_level import switch_on_signal
from entrypoints.metrics.siblings import Siblings
from entrypoints.observability import send_reports, speak_as
from entrypoints.probes import probe_listener, probes_told
from entrypoints.roles import Role, check
from entrypoints.settings import Settings
from entrypoints.startup import running, spare_the_collector, started
from entrypoints.worker_probes import WorkerProbes
from ports import crash_points
from ports.errors import PortError, Unavailable, Unknown
from ports.told_once import ToldOnce

log = logging.getLogger("crossdock.worker")

# A message is kept so long while the database is away: given back at once it would only come at once.
PATIENCE_SECONDS = 45.0
STOP_SECONDS = 3.0

Ids = Sequence[tuple[str, int]]


def run_worker(settings: Settings, *, concurrency: int | None) -> int:
    """Perform what Celery brings until told to end, in so many processes (one a processor if not said); the exit code.

    Raises what the database raises when it cannot be worked with as it is.
    """
    # It warns root of pickled messages, which are not accepted here.
    warnings.simplefilter("ignore", SecurityWarning)
    worker = _application(settings).Worker(
        concurrency=concurrency,
        quiet=True,
        # Words among workers, which nobody here needs; the connection to the broker has a heartbeat of its own.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    _prepare(settings)
    told: list[object] = []
    signals.worker_shutting_down.connect(lambda **given: told.append(given), weak=False)
    worker.start()
    return 0 if told else int(worker.exitcode or 0)  # for Ctrl-C Celery would say that it failed


def __getattr__(name: str) -> Any:
    """``app``, made from the environment when ``celery -A`` asks for it: importing this module does nothing."""
    if name != "app":
        raise AttributeError(name)
    try:
        with readable_errors():
            settings = load_settings()
            check(Role.WORKER, settings)
            globals()["app"] = _application(settings)
    except typer.Exit as error:
        raise SystemExit(error.exit_code) from None
    signals.celeryd_init.connect(_prepare_or_exit, weak=False)  # when it is really a worker that starts
    return globals()["app"]


def _prepare_or_exit(**_: object) -> None:
    try:
        with readable_errors(StartError):
            _prepare(_Process.performer.settings)
    except typer.Exit as error:
        raise SystemExit(error.exit_code) from None


def _prepare(settings: Settings) -> None:
    """Fail here, before there are processes, for a port that is taken, a database that is not there or not migrated."""
    speak_as(Role.WORKER, settings)
    switch_on_signal(lambda: [child.pid for child in active_children()])
    crash_points.arm(settings.faults.armed)
    listener = probe_listener(settings)
    if listener is not None:
        _Process.probes = WorkerProbes(settings, listener, _Process.performer.beats)
    asyncio.run(_look_at_the_database(settings))


async def _look_at_the_database(settings: Settings) -> None:
    persistence = build(settings).persistence()
    try:
        await persistence.start()
    finally:
        await persistence.stop()


def _application(settings: Settings) -> Any:
    queue: Any = build(settings).task_queue()  # the one of Celery: `check` has seen to that
    _Process.performer = performer = Performer(settings)
    grace = settings.server.grace

    def start(**_: object) -> None:
        switch_on_signal()
        if _Process.probes is not None:
            _Process.probes.leave_to_parent()
        performer.start()

    def stop(**_: object) -> None:
        performer.stop()
        send_reports()

    def ready(**_: object) -> None:
        told = probes_told(None if _Process.probes is None else _Process.probes.listener)
        text = f"The worker is ready.{told} Stop with Ctrl-C."
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - for the person who started it

    def told_to_end(**_: object) -> None:
        end_at_the_latest(grace)
        if _Process.probes is not None:
            _Process.probes.drain()

    def log_as_we_do(**_: object) -> None:
        """Being there keeps Celery from setting up its own logging; ours is set up already."""

    for signal, receiver in (
        (signals.setup_logging, log_as_we_do),
        (signals.worker_ready, ready),
        (signals.worker_process_init, start),  # of one of several processes
        (signals.worker_process_shutdown, stop),
        (signals.worker_shutdown, stop),  # of the one process with the pools that have but one
        (signals.worker_shutting_down, told_to_end),
    ):
        signal.connect(receiver, weak=False)
    app = queue.worker_app(performer.perform)
    app.steps["worker"].add(_Probing)
    return app


class _Probing(bootsteps.StartStopStep):  # type: ignore[misc]
    """Answers probes in the parent, once there are the processes: none of them has a part in it."""

    requires = {"celery.worker.components:Pool"}  # noqa: RUF012 - as Celery has it

    def start(self, worker: Any) -> None:
        if _Process.probes is not None:
            _Process.probes.start(worker)

    def stop(self, worker: Any) -> None:  # noqa: ARG002 - Celery's
        if _Process.probes is not None:
            _Process.probes.stop()


# --- in each process --------------------------------------------------------------------------------------------------


class Performer:
    """Performs messages on an event loop in its own thread, which the first of them starts at the latest."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.beats = Beats()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # made by `start`: none survives a fork
        self._told = asyncio.Event()
        self._opened = asyncio.Event()
        self._perform: Perform | None = None
        self._said = ToldOnce(log, "tasks can be performed again")

    def start(self) -> None:
        """Begin to open what performing needs, and go on trying while the database is away."""
        with self._starting:
            if self._thread is None:
                self._loop = _new_loop()
                self._thread = threading.Thread(target=self._run, args=(self._loop,), name="performer", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Close everything within a bound."""
        with self._starting:
            if self._thread is not None and self._loop is not None:
                with suppress(RuntimeError):  # it has ended already
                    self._loop.call_soon_threadsafe(self._told.set)
                self._thread.join(STOP_SECONDS)

    def perform(self, ids: Ids) -> None:
        """Return when all of these are performed or passed over; what became of each stands in its row.

        What could not be worked on is given back to Celery.
        """
        self.start()
        assert self._loop is not None  # noqa: S101 - it is started
        try:
            asyncio.run_coroutine_threadsafe(self._perform_all(ids), self._loop).result()
        except (Unavailable, Unknown) as error:
            self._said.trouble("%d tasks are given back: %s", len(ids), error, why=error, key="given back")
            raise Reject(str(error), requeue=True) from error
        except Exception:
            log.exception("%d tasks failed to be performed and are handed over again later", len(ids))
        else:
            self._said.over("given back")

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self._beating())
        loop.close()

    async def _beating(self) -> None:
        async with running(self._beat()):
            await self._work()

    async def _beat(self) -> None:
        """Let the parent know that this loop goes round, whatever the database and Celery do."""
        slot = _slot()
        while True:
            working = None if self._perform is None else self._perform.working
            self.beats.beat(slot, None if working is None else working.since)
            await asyncio.sleep(BEAT_SECONDS)

    async def _work(self) -> None:
        outage = Outage()
        while not self._told.is_set():
            container = build(self.settings)
            renew = Loop("renew", container.perform().renew, container.clock(), poll_seconds=RENEW_SECONDS)
            try:
                async with started(container, Role.WORKER), running(renew.run()), _told_to_parent(container):
                    spare_the_collector()
                    self._said.over()
                    self._perform = container.perform()
                    self._opened.set()
                    await self._told.wait()
            except (PortError, OSError) as error:
                delay = outage.next_delay()
                self._said.trouble("nothing can be performed yet: %s", error, why=error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._told.wait(), delay)

    async def _perform_all(self, ids: Ids) -> None:
        try:
            await asyncio.wait_for(self._opened.wait(), PATIENCE_SECONDS)
        except TimeoutError as error:
            raise Unavailable("the database is out of reach") from error
        await together(self._by_id(*one) for one in ids)

    async def _by_id(self, id: str, token: int) -> None:
        assert self._perform is not None  # noqa: S101 - it is opened
        outage, clock = Outage(), asyncio.get_running_loop().time
        until = clock() + PATIENCE_SECONDS
        while True:
            try:
                await self._perform.by_id(id, token)
            except (Unavailable, Unknown) as error:
                delay = outage.next_delay(getattr(error, "retry_after", None))
                if clock() + delay > until:
                    raise
                self._said.trouble("task %s cannot be looked up: %s", id, error, why=error, key="looked up")
                await asyncio.sleep(delay)
            else:
                self._said.over("looked up")
                return


def _slot() -> int:
    """Which of the worker's processes this is; whoever replaces it takes it over."""
    return getattr(current_process(), "index", 0)


@asynccontextmanager
async def _told_to_parent(container: Container) -> AsyncIterator[None]:
    """The parent, where probes are answered, can ask for the metrics of this process inside."""
    if _Process.probes is None:
        yield
        return
    async with Siblings(container.metrics(), Path(_Process.probes.siblings.name), str(_slot())).listening():
        yield


class _Process:
    """What a process has one of."""

    performer: Performer  # one that is forked inherits it before it is started
    probes: WorkerProbes | None = None  # of the parent


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
