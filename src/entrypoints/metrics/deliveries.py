"""Metrics of deliveries: what became of them in this process, and what is still to be done by all."""

from collections.abc import Iterable, Iterator

from entrypoints.backlog import Backlog, Waiting
from entrypoints.metrics.family import Family, Kind
from ports.deliveries import Lane, State
from ports.delivery_counts import DeliveryCounts, Step

_LABELS = ("lane", "topic", "name")
_MEANINGS = {
    Step.RECORDED: "Events and tasks recorded in a commit.",
    Step.DELIVERED: "Events that the broker has confirmed, tasks that the queue has taken.",
    Step.RECEIVED: "Messages that the broker has brought and that were seen to.",
    Step.PASSED_OVER: "Received messages of types that are not ours.",
    Step.REPEATED: "Received messages that had been taken charge of before.",
    Step.HANDLED: "Received messages whose effect is committed, tasks that are done.",
    Step.POSTPONED: "Times that something could not be done because what it needs is unavailable.",
    Step.FAILED: "Attempts that failed and are followed by another.",
    Step.DEAD: "Deliveries that went to the desk and wait for a person.",
}


async def counted(counts: DeliveryCounts) -> Iterable[Family]:
    """What this process has counted."""
    families = {step: Family(f"crossdock_{step}", Kind.COUNTER, _MEANINGS[step], _LABELS) for step in Step}
    for (step, *labels), count in counts.steps.items():
        families[step].add(*labels, value=count)
    effects = Family("crossdock_effect_delay_seconds", Kind.HISTOGRAM, "Time from the commit to the effect.", _LABELS)
    return [*families.values(), effects.add_all(counts.effects.items())]


async def waiting(backlog: Backlog) -> Iterable[Family]:
    """What waits, whoever is to see to it; what is not known now is left out."""
    return list(_waiting(await backlog.waiting()))


def _waiting(found: Waiting) -> Iterator[Family]:
    yield Family("crossdock_storage_up", Kind.GAUGE, "Whether the storage answers.").add(value=found.counts is not None)
    if found.counts is not None:
        deliveries = Family(
            "crossdock_deliveries", Kind.GAUGE, "Deliveries that are not done.", ("lane", "state"), is_shared=True
        )
        for lane in Lane:
            for state in State:
                deliveries.add(lane, state, value=found.counts.get((lane, state), 0))
        yield deliveries
    if found.overdue is not None:
        overdue = Family(
            "crossdock_oldest_due_age_seconds",
            Kind.GAUGE,
            "How long the first in line of what is ready has been due; 0 when nothing is.",
            ("lane",),
            is_shared=True,
        )
        for lane, seconds in found.overdue.items():
            overdue.add(lane, value=seconds)
        yield overdue
    if found.lag is not None:
        lag = Family(
            "crossdock_consumer_lag",
            Kind.GAUGE,
            "Messages that our group of consumers has not acknowledged.",
            ("topic",),
            is_shared=True,
        )
        for topic, messages in found.lag.items():
            lag.add(topic, value=messages)
        yield lag
