"""The relay role: carries what was recorded to the broker and to the task queue."""

from domain.delivery.loop import Loop
from entrypoints.container import Container


def relay_loops(container: Container) -> tuple[Loop, Loop]:
    """The loops of a relay: of events, and of tasks."""
    clock, pace = container.clock(), container.pace()
    return (
        Loop("event_relay", container.event_relay().step, clock, pace=pace),
        Loop("task_relay", container.task_relay().step, clock, pace=pace),
    )
