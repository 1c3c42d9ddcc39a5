"""Metrics of the outside APIs that this process asks."""

from collections.abc import Iterable

from entrypoints.metrics.family import Family, Kind
from ports.outside import BreakerState, OutsideCounts


async def outside(counts: OutsideCounts) -> Iterable[Family]:
    """Calls, recalls, breakers and quotas, by the name of the API."""
    breakers = Family("crossdock_outside_breaker", Kind.GAUGE, "1 for the state that it is in.", ("api", "state"))
    for api, state in counts.breakers.items():
        for one in BreakerState:
            breakers.add(api, one, value=one is state)
    left = Family("crossdock_outside_quota_left", Kind.GAUGE, "Calls that would be granted now.", ("api",))
    for api, calls in (await counts.quota_left()).items():
        left.add(api, value=calls)
    return [
        Family(
            "crossdock_outside_calls",
            Kind.COUNTER,
            "Calls to outside APIs, also those held back.",
            ("api", "outcome"),
        ).add_all(counts.calls.items()),
        Family(
            "crossdock_outside_call_duration_seconds",
            Kind.HISTOGRAM,
            "Time of the calls that were not held back.",
            ("api",),
        ).add_all(((api,), took) for api, took in counts.seconds.items()),
        Family("crossdock_outside_recalls", Kind.COUNTER, "What memory had for a question.", ("api", "found")).add_all(
            counts.recalls.items()
        ),
        breakers,
        Family(
            "crossdock_outside_breaker_changes", Kind.COUNTER, "Changes of a breaker to a state.", ("api", "state")
        ).add_all(counts.breaker_changes.items()),
        left,
    ]
