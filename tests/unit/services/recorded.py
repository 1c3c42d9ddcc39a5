"""What a use case has recorded."""

import json
from collections.abc import Sequence
from uuid import UUID

from domain.model.events import Event
from domain.model.tasks import TASK_TYPES, Task
from ports.clock import Clock
from ports.deliveries import Lane
from ports.message import read_event
from ports.persistence import Persistence

_TASKS = {task.name: task for task in TASK_TYPES}


async def events(persistence: Persistence) -> Sequence[Event | None]:
    """The events that wait to be published, oldest first."""
    ready = await persistence.ledger.ready_events(partitions=range(4), limit=100)
    return [read_event(delivery.message) for delivery in ready]


async def tasks(persistence: Persistence, clock: Clock) -> Sequence[Task]:
    """The tasks that wait to be performed, oldest first."""
    due = await persistence.ledger.due(Lane.TASK, now=clock.now(), limit=100)
    return [_TASKS[task.name].from_data(json.loads(task.body), id=UUID(task.id)) for task in due]
