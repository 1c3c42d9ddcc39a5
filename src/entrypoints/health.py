"""Whether this process can do its work, and what keeps it from doing all of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

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


@dataclass(frozen=True, slots=True)
class Health:
    """How it is as a whole, and each check with its ``status`` and ``detail``."""

    status: Status
    checks: Mapping[str, Mapping[str, str]]


class HealthCheck:
    """Looks at storage, broker and what this process works on besides answering.

    Without storage nothing can be served; without a broker everything is accepted and delivered later.
    """

    def __init__(self, persistence: Persistence, broker: EventBroker, clock: Clock) -> None:
        self._persistence = persistence
        self._broker = broker
        self._clock = clock
        self.works: list[Work] = []

    async def check(self) -> Health:
        """Ask all at once, within two seconds."""
        storage, broker = await asyncio.gather(
            _ask(self._persistence.ping, "unavailable"), _ask(self._broker.identity, "degraded")
        )
        checks = {"storage": storage, "event_broker": broker}
        for work in self.works:
            checks[work.name] = {"status": "degraded" if work.trouble else "ready", "detail": work.trouble or ""}
        found = {check["status"] for check in checks.values()}
        status: Status = "unavailable" if "unavailable" in found else "degraded" if "degraded" in found else "ready"
        return Health(status, checks)


async def _ask(question: Callable[[], Awaitable[object]], otherwise: Status) -> dict[str, str]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await question()
    except TimeoutError:
        return {"status": otherwise, "detail": f"no answer within {CHECK_SECONDS:g} seconds"}
    except PortError as error:
        return {"status": otherwise, "detail": str(error)}
    return {"status": "ready", "detail": ""}
