"""What changes on the operator's page, as server-sent events.

One look at everything serves all who watch; nobody watches, nobody looks. Of what a reader is too slow for it gets the
newest alone, so what is kept for it does not grow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from domain.delivery.pace import Pace
from entrypoints.flow_watch import EVERY_SECONDS
from entrypoints.web.dependencies import Container, container_of
from entrypoints.web.errors import Problem, retry_after
from entrypoints.web.fields import to_json
from entrypoints.web.middleware import HEAD_ONLY, STREAM
from entrypoints.web.operator_access import as_operator
from entrypoints.web.operator_status import status_seen
from entrypoints.web.operator_views import plotted, told_of, values
from ports.clock import Clock
from ports.deliveries import State
from ports.shared_work import begin_shared

STREAMS_MOST = 8  # of one process
HEARTBEAT_SECONDS = 10.0  # the most between two signs of life
WRITE_SECONDS = 10.0  # a reader that takes nothing for so long is left
RECONNECT_MILLISECONDS = 2000
FULL_RETRY_AFTER = 10  # seconds

_log = structlog.get_logger("crossdock.web")


class Stream:
    """What one watcher is still to be told: the newest, and whether it is the end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest: bytes | None = None
        self._changed = asyncio.Event()
        self.has_ended = False

    def put(self, newest: bytes) -> None:
        """In place of what was not taken yet."""
        self._newest = newest
        self._changed.set()

    def end(self) -> None:
        """There is nothing more."""
        self.has_ended = True
        self._changed.set()

    async def take(self) -> bytes:
        """The newest as soon as there is something new, or a sign of life."""
        await self._clock.wait(self._changed, HEARTBEAT_SECONDS)
        self._changed.clear()
        newest, self._newest = self._newest, None
        return b":\n\n" if newest is None else newest


class Live:
    """Everybody who watches in this process. ``see`` gives what they are told, as it is now."""

    def __init__(self, see: Callable[[], Awaitable[bytes]], clock: Clock) -> None:
        self._see = see
        self._clock = clock
        self._streams: set[Stream] = set()
        self._looking: asyncio.Task[None] | None = None
        self._has_ended = False

    @property
    def has_room(self) -> bool:
        """Whether one more may watch."""
        return not self._has_ended and len(self._streams) < STREAMS_MOST

    @contextmanager
    def stream(self) -> Iterator[Stream]:
        """Watch, as long as it lasts."""
        stream = Stream(self._clock)
        self._streams.add(stream)
        if self._looking is None:
            self._looking = begin_shared(self._look())
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            if not self._streams and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    def end(self) -> None:
        """Let everybody go, and nobody in: the process is about to end."""
        self._has_ended = True
        for stream in self._streams:
            stream.end()

    async def _look(self) -> None:
        while True:
            try:
                seen = await self._see()
            except Exception:  # whoever watches is told nothing, which a page shows, and the next look may be better
                _log.exception("the operator's page cannot be told how everything is")
            else:
                for stream in self._streams:
                    stream.put(seen)
            await self._clock.sleep(EVERY_SECONDS)


class EventStream(Response):
    """The events of one stream, to one reader, until either of them ends."""

    media_type = "text/event-stream"

    def __init__(self, live: Live, pace: Pace, first: bytes) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._live = live
        self._pace = pace
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if HEAD_ONLY in scope:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
            return
        scope[STREAM] = True
        with self._live.stream() as stream:
            listening = asyncio.create_task(_gone(receive))
            listening.add_done_callback(lambda _: stream.end())
            self._pace.in_flight -= 1  # nobody waits for an answer here: delivery need not give way
            try:
                await self._tell(stream, listening, send)
            finally:
                self._pace.in_flight += 1
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _tell(self, stream: Stream, listening: "asyncio.Task[None]", send: Send) -> None:
        async def write(body: bytes, *, more: bool = True) -> None:
            async with asyncio.timeout(WRITE_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        with suppress(TimeoutError):
            await write(self._first)
            while not stream.has_ended:
                news = await stream.take()
                if not stream.has_ended:
                    await write(news)
            if not listening.done():
                await write(b"event: ending\ndata: {}\n\n", more=False)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def live_of(container: Container) -> Live:
    """All who watch this container's process."""

    async def see() -> bytes:
        status, history = await status_seen(container), container.flow_watch().history
        counts = status["deliveries"]
        news = {
            "status": status["status"],
            "at": status["at"],
            "checks": {name: [check["status"], told_of(check)] for name, check in status["checks"].items()},
            "texts": values(status),
            "dead": None if counts is None else sum(of_lane[State.DEAD] for of_lane in counts.values()),
            "plotted": None if counts is None else plotted(history[-1]),
        }
        return event("status", news)

    return Live(see, container.clock())


def event(name: str, document: object) -> bytes:
    """A server-sent event; JSON has no end of a line in it."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), to_json(document))


router = APIRouter(prefix="/operator", include_in_schema=False)


@router.get("/live", dependencies=[Depends(as_operator)])
async def live(request: Request) -> Response:
    """Everything that the page shows, whenever it has changed."""
    container, watched = container_of(request), request.app.state.live
    if not watched.has_room:
        detail = f"{STREAMS_MOST} pages are told of changes already, or the process is about to end."
        raise Problem("overloaded", detail, headers=retry_after(None, otherwise=FULL_RETRY_AFTER))
    history = [plotted(look) for look in container.flow_watch().history]
    first = b"retry: %d\n\n" % RECONNECT_MILLISECONDS + event("history", history)
    return EventStream(watched, container.pace(), first)
