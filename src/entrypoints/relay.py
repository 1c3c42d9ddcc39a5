"""The relay role: carries what was recorded to the broker and to the task queue."""

from domain.delivery.loop import Loop
from entrypoints.container import Container


def event_relay_loop(container: Container) -> Loop:
    """Carries recorded events to the broker."""
    return Loop("event_relay", container.event_relay().step, container.clock(), pace=container.pace())


def task_relay_loop(container: Container) -> Loop:
    """Hands recorded tasks to the task queue."""
    return Loop("task_relay", container.task_relay().step, container.clock(), pace=container.pace())
