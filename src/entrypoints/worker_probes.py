"""Probes of the worker role.

They are answered by a thread of the parent process. Whoever performs lets it know by its beats that it moves: processes
that are forked from it, or another thread of it with the pools ``solo`` and ``threads``.
"""

import asyncio
import logging
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from domain.delivery.attempts import Outage
from entrypoints.beats import Beats
from entrypoints.container import Container, build
from entrypoints.health import Found
from entrypoints.metrics.siblings import Siblings
from entrypoints.probes import LAST_WORD_SECONDS, answering_probes
from entrypoints.roles import Role
from entrypoints.settings import Settings
from entrypoints.stage_checks import watch_stages
from entrypoints.startup import running
from ports.errors import PortError
from ports.trouble import Cause, Trouble

log = logging.getLogger("crossdock.worker")


class WorkerProbes:
    """Answers on ``listener`` from `start` until `stop`."""

    def __init__(self, settings: Settings, listener: socket.socket, beats: Beats) -> None:
        self.listener = listener
        self._settings = settings
        self._beats = beats
        self._parent = os.getpid()
        self._worker: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Where the processes tell this one their metrics: made before there are any, and theirs as well.
        self.siblings = TemporaryDirectory(prefix="crossdock-")
        self._told = asyncio.Event()  # that the worker is to end
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)

    def start(self, worker: Any) -> None:
        """Begin to answer for this worker of Celery's."""
        self._worker = worker
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def leave_to_parent(self) -> None:
        """In a process that was forked: its socket would be nobody's any more once the parent has ended.

        The pool ``solo`` forks none, and says that a process has begun all the same.
        """
        if os.getpid() != self._parent:
            self.listener.close()

    def drain(self) -> None:
        """From here on nothing is ready."""
        self._call(self._told.set)

    def stop(self) -> None:
        """Stop to answer, within a bound."""
        self._call(self._over.set)
        if self._thread.is_alive():
            self._thread.join(3 * LAST_WORD_SECONDS)
        self.siblings.cleanup()

    def _call(self, tell: Any) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(tell)

    def _run(self) -> None:
        assert self._loop is not None  # noqa: S101 - it is started
        self._loop.run_until_complete(self._answer())
        self._loop.close()

    async def _answer(self) -> None:
        container = build(self._settings)
        persistence, health = container.persistence(), container.health()
        container.backlog().leave_broker_alone()
        metrics = container.metrics()
        metrics.of_all = Siblings(metrics, Path(self.siblings.name), "parent").families
        health.ask("storage", persistence.ping, otherwise="unavailable", part=persistence)
        health.add("task_queue", self._look_at_queue)
        health.add("performers", self._beats.look)
        watch_stages(container, Role.WORKER)
        try:
            async with running(_open(container), health.run()), answering_probes(container, self.listener, self._told):
                await self._over.wait()
        finally:
            await persistence.stop()

    async def _look_at_queue(self) -> Found:
        connection = self._worker.consumer.connection
        if connection is not None and connection.connected:
            return Found("ready")
        return Found("unavailable", Trouble(Cause.OUT_OF_REACH, "the worker has no connection to the broker of Celery"))


async def _open(container: Container) -> None:
    """Open the database, however long it is away: until then there is nothing to be ready for."""
    outage = Outage()
    while True:
        try:
            await container.persistence().start()
        except (PortError, OSError) as error:
            delay = outage.next_delay()
            log.debug("the database is not open yet, next try in %.1f s: %s", delay, error)
            await asyncio.sleep(delay)
        else:
            return
