"""How a server that we can do without is asked: never for long, and not at all for a moment after it was away.

Each question has a task and a link (a connection) of its own, and the link is kept only when its answer was read to the
end: a caller that leaves, or a deadline, never hands the rest of an answer to whoever comes next.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Generic, Protocol, TypeVar

from adapters.reasons import reason
from ports.clock import Clock
from ports.errors import PortError, Unavailable

log = logging.getLogger("crossdock.reach")

_GRACE: Final = 0.1  # seconds that a loop gets, which was busy at a deadline, to read what has come meanwhile


class Crowded(Unavailable):
    """So many ask at once that there was no link in time; says nothing of the server."""


class Link(Protocol):
    """One connection; used by one question at a time."""

    async def open(self) -> None:
        """Connect, and say who we are."""

    async def usable(self) -> bool:
        """Whether it is open and nothing unread is in it; never waits."""

    async def close(self) -> None:
        """Cut it off; never waits."""


L = TypeVar("L", bound=Link)
Answer = TypeVar("Answer")


class Reach(Generic[L]):
    """One server, over a few links, each question within ``seconds``.

    ``errors`` is the driver's table from its library's exceptions: `Unavailable` means that the server is away, so that
    nobody asks it for ``rest_seconds``, and then one does; `Rejected` that it is there and did not do what was asked.
    ``words`` are for people, by exception or parent.
    Changes are logged, once each. ``name`` is shown to people and holds no secret.
    """

    def __init__(
        self,
        name: str,
        make_link: Callable[[], L],
        *,
        errors: Mapping[type[Exception], type[PortError]],
        words: Mapping[type[Exception], str],
        clock: Clock,
        seconds: float = 0.25,
        rest_seconds: float = 1.0,
        links: int = 16,
    ) -> None:
        self.name = name
        self._words = words
        self._make_link = make_link
        self._errors = errors
        self._clock = clock
        self._seconds = seconds
        self._rest_seconds = rest_seconds
        self._links = links
        self._places = asyncio.Semaphore(links)
        self._idle: list[L] = []
        self._asking: set[asyncio.Task[object]] = set()
        self._away: str | None = None
        self._next_try = 0.0
        self._refused: dict[str, str] = {}
        self._stopped = False

    @property
    def trouble(self) -> str | None:
        """What is wrong with the server, as far as is known from the last questions."""
        if self._away is not None:
            return f"{self.name} is away: {self._away}"
        return next((f"{self.name} refuses to {what}: {why}" for what, why in self._refused.items()), None)

    @property
    def use(self) -> tuple[int, int]:
        """How many links are used or waited for, and how many there may be."""
        return len(self._asking), self._links

    async def start(self, question: Callable[[L], Awaitable[object]]) -> None:
        """Ask something once, to know early how it is; a server that is away is no failure."""
        self._stopped = False
        with suppress(PortError):  # which is in `trouble`, and was logged
            await self.ask(question, what="answer")

    async def stop(self) -> None:
        """Break off what is being asked, and close the links. May be called twice."""
        self._stopped = True
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._close_idle()
        await asyncio.sleep(0)  # for transports to end

    async def ask(self, question: Callable[[L], Awaitable[Answer]], *, what: str) -> Answer:
        """The answer to a question; ``what`` it does, in a word.

        `Unavailable` or `Rejected` when there is none; `Crowded` when it was not even asked, since many others were.
        """
        if not self._may_ask():
            raise Unavailable(self.trouble or f"{self.name} is not asked any more")
        asking = asyncio.create_task(self._outcome(question, what))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        # Shielded: a caller that is cancelled leaves the question to end by itself, which is soon.
        try:
            outcome = await asyncio.shield(asking)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if asking.cancelled() and not (caller and caller.cancelling()):
                raise Unavailable(f"{self.name} is not asked any more") from None  # by `stop`
            raise
        if isinstance(outcome, PortError):
            raise outcome
        return outcome

    def _may_ask(self) -> bool:
        if self._stopped:
            return False
        if self._away is None:
            return True
        now = self._clock.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + self._rest_seconds  # one tries, the others wait for what comes of it
        return True

    async def _outcome(self, question: Callable[[L], Awaitable[Answer]], what: str) -> Answer | PortError:
        """Never raises what a port may raise: nobody may be left to see it."""
        asked = False
        try:
            async with _deadline(self._seconds):
                async with asyncio.timeout(self._seconds / 2):
                    await self._places.acquire()
                try:
                    asked = True
                    async with self._link() as link:
                        answer = await question(link)
                finally:
                    self._places.release()
        except TimeoutError as error:
            if not asked:  # who found no place has learnt nothing of the server
                return _because(Crowded(f"{self.name}: too many ask it at once"), error)
            why = f"no answer within {self._seconds:g} s"
            await self._lost(why)
            return _because(Unavailable(f"{self.name}: {why}"), error)
        except Exception as error:
            kind = next((self._errors[cls] for cls in type(error).__mro__ if cls in self._errors), None)
            if kind is None:
                raise
            why = reason(error, self._words)
            if kind is Unavailable:
                await self._lost(why)
            else:
                self._refuses(what, why)
            return _because(kind(f"{self.name}: {why}"), error)
        self._answered(what)
        return answer

    @asynccontextmanager
    async def _link(self) -> AsyncIterator[L]:
        link = await self._idle_link()
        try:
            if link is None:
                link = self._make_link()
                await link.open()
            yield link
        except BaseException:
            if link is not None:
                await link.close()
            raise
        if self._stopped or not await link.usable():
            await link.close()
        else:
            self._idle.append(link)

    async def _idle_link(self) -> L | None:
        while self._idle:
            link = self._idle.pop()
            if await link.usable():
                return link
            await link.close()  # the server has closed it meanwhile
        return None

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _lost(self, why: str) -> None:
        if self._away is None:
            log.warning("%s is away (%s); it is asked again every %g s", self.name, why, self._rest_seconds)
        self._away = why
        self._next_try = self._clock.monotonic() + self._rest_seconds
        await self._close_idle()

    def _refuses(self, what: str, why: str) -> None:
        if what not in self._refused:
            log.warning("%s refuses to %s: %s", self.name, what, why)
        self._refused[what] = why
        self._back()

    def _answered(self, what: str) -> None:
        if self._refused and self._refused.pop(what, None) is not None:
            log.info("%s does not refuse to %s any more", self.name, what)
        self._back()

    def _back(self) -> None:
        if self._away is not None:
            self._away = None
            log.info("%s is back", self.name)


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Ends in time what is done inside, but not because the loop itself was held up by something else."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    def up() -> None:
        now = loop.time()
        bound.reschedule(now + _GRACE if now - end > _GRACE / 2 else now)

    async with asyncio.timeout(None) as bound:
        timer = loop.call_at(end, up)
        try:
            yield
        finally:
            timer.cancel()


def cut(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, and with it what was not sent: else the system would keep that for its server."""
    # When the other side has cut it already, uvloop has no socket any more, or one without its descriptor: ValueError.
    with suppress(OSError, ValueError):
        ours = writer.get_extra_info("socket")
        if ours is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _because(outcome: PortError, error: Exception) -> PortError:
    outcome.__cause__ = error
    return outcome
