"""What one process records, others hear of: notifications of PostgreSQL, outside any transaction."""

import asyncio
import logging
from collections.abc import Callable, Collection
from uuid import uuid4

from asyncpg import Connection  # type: ignore[import-untyped]

from adapters.persistence.sql.postgresql_connections import Server
from adapters.persistence.sql.postgresql_errors import POSTGRESQL_ERRORS
from ports.deliveries import Lane
from ports.errors import Unavailable
from ports.shared_work import begin_shared
from ports.told_once import ToldOnce

log = logging.getLogger("crossdock.persistence")

CHANNEL = "crossdock"
PAUSE_SECONDS = 0.005  # between announcements: many in one
ANSWER_SECONDS = 3.0
LOOK_SECONDS = 10.0  # between looks at a connection that says nothing: it may be dead
BACKOFF_SECONDS, BACKOFF_MOST = 0.2, 5.0

Listener = Callable[[Collection[Lane]], None]


class Announcements:
    """Tells other processes, and hears from them, on a connection of its own.

    Opened when it is first used; lost, it is opened again in the background, and then the listener is called for all
    lanes, since nobody knows what was missed.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._me = uuid4().hex
        self._listener: Listener | None = None
        self._pending: set[Lane] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._open = False
        self._told = ToldOnce(log, "announcements go on")

    def start(self) -> None:
        """Begin, if there is anything to do yet."""
        self._open = True
        if self._listener is not None or self._pending:
            self._run()

    async def stop(self) -> None:
        """End; what was not sent is not. May be called twice."""
        self._open = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=ANSWER_SECONDS)
            self._task = None

    def announce(self, lanes: Collection[Lane]) -> None:
        """Send it when there is time."""
        self._pending.update(lanes)
        if self._open:
            self._run()
            self._wake.set()

    def listen(self, listener: Listener) -> None:
        """Call it with what others announce."""
        self._listener = listener
        if self._open:
            self._run()

    def _run(self) -> None:
        if self._task is None or self._task.done():
            self._task = begin_shared(self._keep())

    async def _keep(self) -> None:
        backoff, missed = BACKOFF_SECONDS, False
        while True:
            try:
                connection = await self._server.connect()
                try:
                    await asyncio.wait_for(connection.add_listener(CHANNEL, self._heard), ANSWER_SECONDS)
                    if missed and self._listener is not None:
                        self._listener(tuple(Lane))
                    self._told.over()
                    backoff, missed = BACKOFF_SECONDS, True
                    await self._send(connection)
                finally:
                    connection.terminate()
            except (Unavailable, *POSTGRESQL_ERRORS) as error:
                self._told.trouble("announcements rest: %s", error, why=error, level=logging.INFO)
            except Exception as error:
                self._told.trouble("announcements rest", why=error, level=logging.ERROR)
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, BACKOFF_MOST)

    async def _send(self, connection: Connection) -> None:
        connection.add_termination_listener(lambda _: self._wake.set())
        while not connection.is_closed():
            try:
                await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)
            except TimeoutError:
                await asyncio.wait_for(connection.execute("SELECT 1"), ANSWER_SECONDS)
                continue
            self._wake.clear()
            lanes, self._pending = self._pending, set()
            if lanes:
                said = f"{self._me} {' '.join(sorted(lanes))}"
                await asyncio.wait_for(connection.execute("SELECT pg_notify($1, $2)", CHANNEL, said), ANSWER_SECONDS)
                await asyncio.sleep(PAUSE_SECONDS)

    def _heard(self, _connection: Connection, _process: int, _channel: str, said: str) -> None:
        who, _, names = said.partition(" ")
        if who == self._me or self._listener is None:
            return
        lanes = tuple(lane for lane in Lane if lane.value in names.split())  # one of another version may name others
        if lanes:
            self._listener(lanes)
