"""The relay role: carries what was recorded to the broker and to the task queue."""

from domain.delivery.loop import Loop
from entrypoints.container import Container


def event_relay_loop(container: Container) -> Loop:
    """Carries recorded events to the broker."""
    relay = container.event_relay()
    return Loop("event_relay", relay.step, container.clock(), pace=container.pace(), part=relay)


def task_relay_loop(container: Container) -> Loop:
    """Hands recorded tasks to the task queue."""
    relay = container.task_relay()
    return Loop("task_relay", relay.step, container.clock(), pace=container.pace(), part=relay)
