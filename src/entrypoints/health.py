"""Whether this process can do its work, and what keeps it from doing all of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from ports.clock import Clock
from ports.errors import PortError
from ports.event_broker import EventBroker
from ports.persistence import Persistence

CHECK_SECONDS = 2.0

Status = Literal["ready", "degraded", "unavailable"]


class Work(Protocol):
    """What runs in this process for as long as it lives."""

    name: str

    @property
    def trouble(self) -> str | None:
        """Why it does not get on now."""


@runtime_checkable
class Troubled(Protocol):
    """What goes on without something that it would rather have; looking at it asks nobody."""

    @property
    def trouble(self) -> str | None:
        """What it has to do without, and why."""


@dataclass(frozen=True, slots=True)
class Health:
    """How it is as a whole, and each check with its ``status`` and ``detail``."""

    status: Status
    checks: Mapping[str, Mapping[str, str]]


class HealthCheck:
    """Looks at storage, broker and what this process works on besides answering.

    Without storage nothing can be served; without a broker everything is accepted and delivered later. Neither outside
    APIs nor the cache are asked for this: they know by themselves whether they are in trouble.
    """

    def __init__(self, persistence: Persistence, broker: EventBroker, clock: Clock) -> None:
        self._persistence = persistence
        self._broker = broker
        self._clock = clock
        self.works: list[Work] = []
        self._watched: dict[str, Troubled] = {}

    def watch(self, name: str, part: object) -> None:
        """Tell of the trouble that this part has, if it is of a kind that knows."""
        if isinstance(part, Troubled):
            self._watched[name] = part

    async def check(self) -> Health:
        """Ask all at once, within two seconds."""
        storage, broker = await asyncio.gather(
            _ask(self._persistence.ping, "unavailable"), _ask(self._broker.identity, "degraded")
        )
        checks = {"storage": storage, "event_broker": broker}
        for work in self.works:
            checks[work.name] = _degraded(work.trouble)
        for name, part in self._watched.items():
            checks[name] = _degraded(part.trouble)
        found = {check["status"] for check in checks.values()}
        status: Status = "unavailable" if "unavailable" in found else "degraded" if "degraded" in found else "ready"
        return Health(status, checks)


def _degraded(trouble: str | None) -> dict[str, str]:
    return {"status": "degraded" if trouble else "ready", "detail": trouble or ""}


async def _ask(question: Callable[[], Awaitable[object]], otherwise: Status) -> dict[str, str]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await question()
    except TimeoutError:
        return {"status": otherwise, "detail": f"no answer within {CHECK_SECONDS:g} seconds"}
    except PortError as error:
        return {"status": otherwise, "detail": str(error)}
    return {"status": "ready", "detail": ""}
