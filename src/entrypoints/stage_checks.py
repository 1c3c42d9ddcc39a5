"""Health checks of what waits for several processes together, or for a person: who hangs can be told by nobody."""

import asyncio
from collections.abc import Iterator, Mapping

from domain.delivery.stages import Stage, Stages
from entrypoints.container import Container
from entrypoints.health import ANSWER_SECONDS, Found, Look
from entrypoints.roles import Role
from entrypoints.settings import Settings
from ports.deliveries import Lane
from ports.errors import PortError
from ports.trouble import Cause, Trouble

_LETTERS: Mapping[Lane, str] = {
    Lane.EVENT: "an event that could not be published waits for a person",
    Lane.TASK: "a task that could not be done waits for a person",
    Lane.RECEIVED: "a received message that could not be handled waits for a person",
}


def watch_stages(container: Container, role: Role) -> None:
    """Let the health of this process tell of the stages that it has a part in; all, with the operator's page."""
    settings = container.settings()
    which = list(_stages(role, settings))
    broker = settings.event_broker
    stages = Stages(
        container.persistence(), container.clock(), which, partitions=broker.partitions, group=broker.consumer_group
    )
    for stage in which:
        container.health().add(stage, _looking(stages, stage))
    if role.answers:
        container.health().add("desk", _looking_at_desk(container))


def _stages(role: Role, settings: Settings) -> Iterator[Stage]:
    """What a role works on, and what it would be blamed for: who publishes knows that nobody handles it."""
    if role.relays or role.answers:
        yield Stage.PUBLISHING
    if role.relays or role.consumes or role.answers:
        yield Stage.HANDLING
    if role.consumes or role.answers:
        yield Stage.RETRYING
    if settings.task_queue.backend == "memory":
        return  # performs when it is told to
    if role.hands_over(settings) or role.answers:
        yield Stage.HANDING_OVER
    if role.hands_over(settings) or role.performs(settings) or role is Role.WORKER or role.answers:
        yield Stage.PERFORMING


def _looking(stages: Stages, stage: Stage) -> Look:
    async def look() -> Found:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                trouble = await stages.trouble(stage)
        except (PortError, TimeoutError):
            return Found("ready")  # nothing is known of it, and the check of the storage tells why
        return Found("ready" if trouble is None else "degraded", trouble)

    return look


def _looking_at_desk(container: Container) -> Look:
    ledger = container.persistence().ledger

    async def look() -> Found:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                oldest = (await ledger.dead(after=0, limit=1)).items
        except (PortError, TimeoutError):
            return Found("ready")  # as above
        if not oldest:
            return Found("ready")
        return Found("degraded", Trouble(Cause.DEAD_LETTERS, _LETTERS[oldest[0].lane]))

    return look
