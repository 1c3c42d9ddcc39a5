"""Health checks of what waits for several processes together, or for a person: who hangs can be told by nobody."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

from domain.delivery.stages import Stage, Stages
from entrypoints.container import Container
from entrypoints.health import ANSWER_SECONDS, Found, Look
from entrypoints.roles import Role
from entrypoints.settings import Settings
from ports.deliveries import Lane
from ports.errors import PortError
from ports.persistence import Ledger
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
        container.health().add(stage, _looking(partial(stages.trouble, stage)))
    if role.answers:
        container.health().add("desk", _looking(_at_desk(container.persistence().ledger)))


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


def _looking(question: Callable[[], Awaitable[Trouble | None]]) -> Look:
    found = Found("ready")

    async def look() -> Found:
        nonlocal found
        # While the storage does not answer, its own check tells why, and here is what was found last.
        with suppress(PortError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                trouble = await question()
            found = Found("ready" if trouble is None else "degraded", trouble)
        return found

    return look


def _at_desk(ledger: Ledger) -> Callable[[], Awaitable[Trouble | None]]:
    async def question() -> Trouble | None:
        oldest = (await ledger.dead(after=0, limit=1)).items
        return Trouble(Cause.DEAD_LETTERS, _LETTERS[oldest[0].lane]) if oldest else None

    return question
