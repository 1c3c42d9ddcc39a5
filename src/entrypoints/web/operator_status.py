"""How everything is: for the operator's API, its page and its stream alike."""

import asyncio
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from typing_extensions import TypedDict

from domain.model.times import to_rfc3339
from entrypoints.flow_watch import Look
from entrypoints.settings import Settings
from entrypoints.settings_ports import SEVERAL
from entrypoints.settings_slots import slots_of
from entrypoints.web.dependencies import Container
from entrypoints.web.fields import Instant
from entrypoints.web.health import CheckDocument
from ports.deliveries import Lane, State
from ports.errors import PortError
from ports.outside import BreakerState, OutsideCounts

_CHECKS = {"persistence": "storage"}  # where the check of a port has another name


class PortDocument(TypedDict):
    """A port, what fills it, what else could, and the check that tells how it is, if one does."""

    port: str
    adapter: str
    choices: list[str]
    check: str | None


class FlowDocument(TypedDict):
    """What moves, over all processes; rates are for each second, null while there is nothing to compare with.

    `waits` is for how many seconds the first has waited, by lane and state. `backlog` is what the broker has for our
    group; null when it does not say.
    """

    recorded_rate: float | None
    handled_rate: float | None
    done_rate: float | None
    backlog: int | None
    waits: dict[Lane, dict[State, float]]


class OutsideDocument(TypedDict):
    """What stands before an outside API in this process; null: there is none."""

    breaker: BreakerState | None
    quota_left: int | None


Deliveries = dict[Lane, dict[State, int]]


class StatusDocument(TypedDict):
    """How everything is; `deliveries` are counts by lane and state, over all processes.

    `checks` and `outside` are those of the process that answers, which `process` names.
    """

    version: str
    status: str
    process: str
    at: Instant
    checks: dict[str, CheckDocument]
    deliveries: Deliveries
    flow: FlowDocument
    ports: list[PortDocument]
    outside: dict[str, OutsideDocument]


async def whole_status(container: Container) -> Mapping[str, Any]:
    """A `StatusDocument` of this very moment; `Unavailable` when the database is."""
    counts, look = await asyncio.gather(container.persistence().ledger.counts(), container.flow_watch().look())
    return await _document(container, counts, look)


async def status_seen(container: Container) -> Mapping[str, Any]:
    """The same as of a moment ago; what only the database knows is None while that does not answer."""
    try:
        look = await container.flow_watch().look()
    except PortError:  # the check of the storage says why
        return await _document(container, None, None)
    return await _document(container, look.counts, look)


async def _document(
    container: Container, counts: Mapping[tuple[Lane, State], int] | None, look: Look | None
) -> Mapping[str, Any]:
    health, outside = await asyncio.gather(container.health().check(), _outside(container.outside_counts()))
    return {
        "version": version("crossdock"),
        "status": health.status,
        "process": container.process(),
        "at": to_rfc3339(container.clock().now()),
        "checks": {name: dict(check) for name, check in health.checks.items()},
        "deliveries": None if counts is None else deliveries_document(counts),
        "flow": None if look is None else flow_document(look),
        "ports": list(_ports(container.settings(), health.checks)),
        "outside": outside,
    }


def deliveries_document(counts: Mapping[tuple[Lane, State], int]) -> Deliveries:
    """How many there are of each lane in each state."""
    return {lane: {state: counts.get((lane, state), 0) for state in State} for lane in Lane}


def flow_document(look: Look) -> FlowDocument:
    """What was seen."""
    waits: dict[Lane, dict[State, float]] = {}
    for (lane, state), seconds in look.waits.items():
        waits.setdefault(lane, {})[state] = round(seconds, 1)
    return {
        "recorded_rate": _rounded(look.recorded_rate),
        "handled_rate": _rounded(look.handled_rate),
        "done_rate": _rounded(look.done_rate),
        "backlog": look.backlog,
        "waits": waits,
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 2)


def _ports(settings: Settings, checks: Mapping[str, object]) -> Iterator[PortDocument]:
    for slot in slots_of(Settings):
        if slot.choice is None:
            continue
        chosen = getattr(settings, slot.port)
        choices = [str(part.model_fields["backend"].default) for part in slot.parts]
        check = _CHECKS.get(slot.port, slot.port)
        yield {
            "port": slot.port,
            "adapter": ", ".join(chosen.providers) if slot.port == "weather" else chosen.backend,
            "choices": [choice for choice in choices if choice != SEVERAL],
            "check": check if check in checks else None,
        }


async def _outside(counts: OutsideCounts) -> dict[str, OutsideDocument]:
    left = await counts.quota_left()
    return {
        api: {"breaker": counts.breakers.get(api), "quota_left": left.get(api)}
        for api in sorted({*counts.breakers, *left})
    }
