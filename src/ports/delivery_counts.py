"""What is counted about deliveries, from the commit that recorded them to their effect."""

from enum import StrEnum
from typing import Final

from domain.model.events import EVENT_TYPES
from domain.model.tasks import TASK_TYPES
from ports.deliveries import Delivery, Lane
from ports.histogram import Histogram

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)  # seconds
OTHER: Final = "other"  # stands for every name that is not ours: others can invent them without end

_NAMES: Final = frozenset({event.type for event in EVENT_TYPES} | {task.name for task in TASK_TYPES})
_TOPICS: Final = frozenset({"", *(event.topic for event in EVENT_TYPES)})


class Step(StrEnum):
    """What became of a delivery, at one of its stations."""

    RECORDED = "recorded"  # in a commit
    DELIVERED = "delivered"  # the broker has confirmed it, or the task queue has taken it
    RECEIVED = "received"  # the broker has brought it, or brought it again
    PASSED_OVER = "passed_over"  # of a type that is not ours
    REPEATED = "repeated"  # brought again after it had been taken charge of
    HANDLED = "handled"  # its effect is committed, or the task is done
    POSTPONED = "postponed"  # what it needs is unavailable, which costs no attempt
    FAILED = "failed"  # an attempt, and there will be another
    DEAD = "dead"  # it waits for a person


# What can become of the deliveries of a lane. What was received and is kept by us stays in its lane.
STEPS: Final = {
    Lane.EVENT: (Step.RECORDED, Step.DELIVERED, Step.POSTPONED, Step.DEAD),
    Lane.RECEIVED: (
        Step.RECEIVED,
        Step.PASSED_OVER,
        Step.REPEATED,
        Step.HANDLED,
        Step.POSTPONED,
        Step.FAILED,
        Step.DEAD,
    ),
    Lane.TASK: (Step.RECORDED, Step.DELIVERED, Step.HANDLED, Step.POSTPONED, Step.FAILED, Step.DEAD),
}


class DeliveryCounts:
    """Counts of this process; plain dictionaries, to be rendered when somebody asks."""

    def __init__(self) -> None:
        self.steps: dict[tuple[Step, Lane, str, str], int] = {}  # with topic and name
        self.effects: dict[tuple[Lane, str, str], Histogram] = {}  # seconds from the commit to the effect
        # What is ours is there from the start: of what appears with a first count nobody sees that it grew.
        for event in EVENT_TYPES:
            self._begin(Lane.EVENT, event.topic, event.type)
            self._begin(Lane.RECEIVED, event.topic, event.type)
            self._begin(Lane.RECEIVED, event.topic, OTHER)
        for task in TASK_TYPES:
            self._begin(Lane.TASK, "", task.name)

    def _begin(self, lane: Lane, topic: str, name: str) -> None:
        for step in STEPS[lane]:
            self.steps[step, lane, topic, name] = 0

    def count(self, step: Step, delivery: Delivery) -> None:
        """A delivery has come so far."""
        self.counted(step, delivery.lane, delivery.topic, delivery.name)

    def counted(self, step: Step, lane: Lane, topic: str, name: str) -> None:
        """The same, of what has no row."""
        key = (step, lane, topic if topic in _TOPICS else OTHER, name if name in _NAMES else OTHER)
        self.steps[key] = self.steps.get(key, 0) + 1

    def handled(self, lane: Lane, topic: str, name: str, seconds: float) -> None:
        """Its effect is committed, so long after the commit that it follows from."""
        self.counted(Step.HANDLED, lane, topic, name)
        key = (lane, topic if topic in _TOPICS else OTHER, name if name in _NAMES else OTHER)
        effect = self.effects.get(key)
        if effect is None:
            effect = self.effects[key] = Histogram(BOUNDS)
        effect.add(max(0.0, seconds))  # clocks of two machines may disagree
