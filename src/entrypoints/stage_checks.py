"""Health checks of what waits for several processes together: who of them hangs can be told by nobody."""

import asyncio
from collections.abc import Iterator

from domain.delivery.stages import Stage, Stages
from entrypoints.container import Container
from entrypoints.health import ANSWER_SECONDS, Found, Look
from entrypoints.roles import Role
from entrypoints.settings import Settings
from ports.errors import PortError


def watch_stages(container: Container, role: Role) -> None:
    """Let the health of this process tell of the stages that it has a part in."""
    settings = container.settings()
    which = list(_stages(role, settings))
    broker = settings.event_broker
    stages = Stages(
        container.persistence(), container.clock(), which, partitions=broker.partitions, group=broker.consumer_group
    )
    for stage in which:
        container.health().add(stage, _looking(stages, stage))


def _stages(role: Role, settings: Settings) -> Iterator[Stage]:
    """What a role works on, and what it would be blamed for: who publishes knows that nobody handles it."""
    if role.relays:
        yield Stage.PUBLISHING
    if role.relays or role.consumes:
        yield Stage.HANDLING
    if role.consumes:
        yield Stage.RETRYING
    if settings.task_queue.backend == "memory":
        return  # performs when it is told to
    if role.hands_over(settings):
        yield Stage.HANDING_OVER
    if role.hands_over(settings) or role.performs(settings) or role is Role.WORKER:
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
