"""Whether this process can do its work, and what keeps it from doing all of it.

Each check has a name that stays, and while it is in trouble a `Cause`, words for people and what to do. The same is
told by `/readyz`, the operator's page and API, the log (a line for each change) and the metric ``crossdock_check``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

import structlog

from domain.model.times import to_rfc3339
from entrypoints.consequences import RESTS_ON, holds_up
from entrypoints.cures import cure
from ports.clock import Clock
from ports.errors import PortError
from ports.shared_work import begin_shared
from ports.told_once import ToldOnce
from ports.trouble import Cause, Trouble

LOOK_SECONDS = 1.0  # between two looks
ANSWER_SECONDS = 2.0  # for what is asked during one
FRESH_SECONDS = 5.0  # older than that, the last look is no answer any more
LATE_SECONDS = 1.0  # so much later than it should, and something has kept the event loop
TOLD_SECONDS = 15.0  # so long this is told
AFTER_SECONDS = 30.0  # what rests on something that is well again may need so long to get on
REPORTED_MOST = 300  # characters of the words of others

Status = Literal["ready", "degraded", "unavailable"]

_log = structlog.get_logger("crossdock.health")


@runtime_checkable
class Troubled(Protocol):
    """What knows whether it gets on; looking at it asks nobody."""

    @property
    def trouble(self) -> str | None:
        """What is wrong; a `Trouble` also says why, any other text is that something is out of reach."""


class Work(Troubled, Protocol):
    """What runs in this process for as long as it lives."""

    name: str


@dataclass(frozen=True, slots=True)
class Health:
    """How it is as a whole, and each check.

    A check has ``status``, and while that is not ``ready`` its ``cause``, the words ``detail`` and ``cure``, and
    ``since`` (RFC 3339); else these are empty.
    """

    status: Status
    checks: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at one thing has found."""

    status: Status
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class _Since:
    cause: Cause
    at: datetime
    monotonic: float
    rests_on: str = ""  # the check that is in trouble for the same cause, and whose line in the log is enough
    is_told: bool = False


Look = Callable[[], Awaitable[Found]]


class HealthCheck:
    """Looks at what this process depends on and works on: every second while it `run`s, else when it is asked.

    However often it is asked, there is one look at a time, and each is bounded. Neither outside APIs nor the cache are
    asked for it: they know by themselves whether they are in trouble.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looks: dict[str, Look] = {}
        self._purposes: set[str] = set()
        self._in_trouble_at: dict[str, float] = {}  # when each check was last
        self._faults = ToldOnce(logging.getLogger("crossdock.health"), "health checks end again", now=clock.monotonic)
        self._since: dict[str, _Since] = {}
        self._latest: Health | None = None
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[Health] | None = None
        self._late = 0.0
        self._late_at = float("-inf")
        self._is_running = False

    def add(self, name: str, look: Look) -> None:
        """Have ``look`` called at each look; it has to be quick, or bounded."""
        self._looks[name] = look

    def ask(
        self, name: str, question: Callable[[], Awaitable[object]], *, otherwise: Status, part: object = None
    ) -> None:
        """Have ``question`` asked at each look; the status is ``otherwise`` while it is not answered.

        While it is, ``part`` may have a trouble of its own.
        """

        async def look() -> Found:
            trouble = await self._asked(name, question)
            return Found(otherwise, trouble) if trouble is not None else _found(part)

        self._looks[name] = look

    def watch(self, name: str, part: object) -> None:
        """Tell of the trouble that this part has, if it is of a kind that knows."""
        if isinstance(part, Troubled):
            self._looks[name] = _watching(part)

    def work(self, work: Work, *, is_purpose: bool = False) -> None:
        """Tell of what runs here. A process none of whose purposes gets on is not ready."""
        self.watch(work.name, work)
        if is_purpose:
            self._purposes.add(work.name)

    async def check(self) -> Health:
        """How everything is, as of a few seconds ago at most."""
        is_fresh = self._is_running and self._clock.monotonic() - self._looked_at <= FRESH_SECONDS
        if self._latest is not None and is_fresh:
            return self._latest
        return await self._look()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        self._is_running = True
        try:
            while True:
                await self._look()
                began = self._clock.monotonic()
                await self._clock.sleep(LOOK_SECONDS)
                ended = self._clock.monotonic()
                if (late := ended - began - LOOK_SECONDS) > LATE_SECONDS:
                    self._late, self._late_at = late, ended
        finally:
            self._is_running = False
            if self._looking is not None:
                self._looking.cancel()

    async def _look(self) -> Health:
        looking = self._looking
        if looking is None:
            looking = self._looking = begin_shared(self._look_once())
            looking.add_done_callback(self._looked)
        await asyncio.wait({looking})
        if looking.cancelled():  # at the end of the process, which is nothing that who asked has done
            return self._latest or Health("unavailable", {})
        return looking.result()

    def _looked(self, _: object) -> None:
        self._looking = None

    async def _look_once(self) -> Health:
        names = list(self._looks)
        found = dict(zip(names, await asyncio.gather(*map(self._seen, names)), strict=True))
        found["event_loop"] = self._event_loop()
        status = _status(found, self._purposes)
        checks = {name: self._told(name, *self._resting(name, found)) for name in found}
        self._in_trouble_at |= dict.fromkeys(self._since, self._clock.monotonic())
        self._latest, self._looked_at = Health(status, checks), self._clock.monotonic()
        return self._latest

    def _event_loop(self) -> Found:
        if self._clock.monotonic() - self._late_at > TOLD_SECONDS:
            return Found("ready")
        words = (
            f"the event loop stood still for {self._late:.1f} s a moment ago, and all that this process does with it"
        )
        return Found("degraded", Trouble(Cause.BLOCKED, words))

    def _resting(self, name: str, found: Mapping[str, Found]) -> tuple[Found, str]:
        """What was found, with the cause of the check that it rests on and that is in trouble itself; which that is."""
        own = found[name]
        if own.trouble is None:
            return own, ""
        for each in RESTS_ON.get(name, ()):
            deeper = found[each].trouble if each in found else None
            if deeper is not None and holds_up(each, deeper.cause):
                return Found(own.status, Trouble(deeper.cause, f"{each} is in trouble: {own.trouble}")), each
        before = self._since.get(name)
        if before is not None and before.rests_on and self._was_just_in_trouble(before.rests_on):
            words = f"{before.rests_on} was in trouble a moment ago: {own.trouble}"
            return Found(own.status, Trouble(before.cause, words)), before.rests_on
        return own, ""

    def _was_just_in_trouble(self, name: str) -> bool:
        return self._clock.monotonic() - self._in_trouble_at.get(name, float("-inf")) < AFTER_SECONDS

    def _told(self, name: str, found: Found, rests_on: str) -> Mapping[str, str]:
        """The check as it is shown; a change of its cause is written down, unless another has said it."""
        before, trouble = self._since.get(name), found.trouble
        if trouble is None:
            self._faults.over(name)
            if before is not None:
                del self._since[name]
            if before is not None and before.is_told:
                seconds = round(self._clock.monotonic() - before.monotonic, 1)
                _log.info("check is well again", check=name, cause=str(before.cause), seconds=seconds)
            return {"status": "ready", "cause": "", "detail": "", "cure": "", "since": ""}
        detail = trouble if len(trouble) <= REPORTED_MOST else f"{trouble[:REPORTED_MOST]}…"
        what_to_do = cure(rests_on or name, trouble.cause)
        if before is None or (before.cause, before.rests_on) != (trouble.cause, rests_on):
            at = self._clock.now() if before is None else before.at
            since = self._clock.monotonic() if before is None else before.monotonic
            is_told = not rests_on or (before is not None and before.is_told)
            self._since[name] = before = _Since(trouble.cause, at, since, rests_on, is_told)
            if not rests_on:
                _log.warning(
                    "check is in trouble", check=name, cause=str(trouble.cause), detail=detail, cure=what_to_do
                )
        return {
            "status": found.status,
            "cause": str(trouble.cause),
            "detail": str(detail),
            "cure": what_to_do,
            "since": to_rfc3339(before.at),
        }

    async def _seen(self, name: str) -> Found:
        try:
            return await self._looks[name]()
        except Exception as error:
            return Found("degraded", self._fault(name, error))

    async def _asked(self, name: str, question: Callable[[], Awaitable[object]]) -> Trouble | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await question()
        except TimeoutError:
            return Trouble(Cause.OUT_OF_REACH, f"no answer within {ANSWER_SECONDS:g} seconds")
        except PortError as error:
            return error.trouble
        except Exception as error:
            return self._fault(name, error)
        return None

    def _fault(self, name: str, error: Exception) -> Trouble:
        """Of ours: it must not end the looking, nor keep the others from being told."""
        self._faults.trouble("the health check %s failed", name, why=error, key=name, level=logging.ERROR)
        return Trouble(Cause.FAILED, f"{type(error).__name__}: see the log")


def _status(found: Mapping[str, Found], purposes: Collection[str]) -> Status:
    """Unavailable when something that nothing works without is, or when no purpose gets on; degraded for the rest."""
    if any(each.status == "unavailable" for each in found.values()):
        return "unavailable"
    if purposes and all(found[name].trouble is not None for name in purposes):
        return "unavailable"
    return "ready" if all(each.status == "ready" for each in found.values()) else "degraded"


def _watching(part: Troubled) -> Look:
    async def look() -> Found:
        return _found(part)

    return look


def _found(part: object) -> Found:
    told = part.trouble if isinstance(part, Troubled) else None
    if not told:
        return Found("ready")
    return Found("degraded", told if isinstance(told, Trouble) else Trouble(Cause.OUT_OF_REACH, told))
