"""Metrics of the process itself."""

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Protocol, runtime_checkable

from entrypoints.metrics.family import Family, Kind


@runtime_checkable
class Pooled(Protocol):
    """What shares a bounded number of connections."""

    @property
    def pools(self) -> Mapping[str, tuple[int, int]]:
        """For each pool by its name, how many connections are used or waited for, and how many there may be."""


async def process() -> Iterable[Family]:
    """What runs here, and what it takes of the machine (on Linux)."""
    from prometheus_client import ProcessCollector  # noqa: PLC0415 - for whoever asks, and not for each command

    build = {"version": version("crossdock"), "python": platform.python_version()}
    info = Family("crossdock_build", Kind.INFO, "What runs here.", tuple(build)).add(*build.values(), value=1)
    machine = [
        Family(metric.name, Kind(metric.type), metric.documentation).add(value=metric.samples[0].value)
        for metric in ProcessCollector(registry=None).collect()
    ]
    return [info, *machine]


async def pools(parts: Iterable[object]) -> Iterable[Family]:
    """The connections of these parts, as far as they share some."""
    in_use = Family("crossdock_pool_in_use", Kind.GAUGE, "Connections that are used or waited for.", ("pool",))
    size = Family("crossdock_pool_size", Kind.GAUGE, "Connections that there may be.", ("pool",))
    for part in parts:
        for name, (used, most) in part.pools.items() if isinstance(part, Pooled) else ():
            in_use.add(name, value=used)
            size.add(name, value=most)
    return [in_use, size]
