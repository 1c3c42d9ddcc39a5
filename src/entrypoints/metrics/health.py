"""Metrics of the health checks."""

from collections.abc import Awaitable, Callable, Iterable

from entrypoints.health import Health
from entrypoints.metrics.family import Family, Kind
from ports.trouble import Cause


async def checks(look: Callable[[], Awaitable[Health]]) -> Iterable[Family]:
    """Which check is in trouble, and why. Each cause has its series also while all is well: alerts are never blind."""
    meaning = "1 while the check is in trouble for this cause."
    family = Family("crossdock_check", Kind.GAUGE, meaning, ("check", "cause"))
    for name, check in (await look()).checks.items():
        for cause in Cause:
            family.add(name, cause, value=check["cause"] == cause)
    return [family]
