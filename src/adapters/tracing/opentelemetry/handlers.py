"""Reactions to events, and the work of tasks, each in a span below what it was asked by."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from opentelemetry.trace import SpanKind

from adapters.tracing.opentelemetry.spans import Spans
from domain.model.events import Event
from domain.model.tasks import Task
from ports.persistence import UnitOfWork
from ports.trace_context import current

Reaction = Callable[[Any, UnitOfWork], Awaitable[None]]
Work = Callable[[Any], Awaitable[None]]


def traced_reactions(
    reactions: Mapping[type[Event], Reaction], spans: Spans, *, system: str, group: str
) -> dict[type[Event], Reaction]:
    """The same reactions by type of event."""

    def traced(type_: type[Event], reaction: Reaction) -> Reaction:
        async def react(event: Event, work: UnitOfWork) -> None:
            if not spans.tells(current()):
                await reaction(event, work)
                return
            attributes = {
                **_processing(system, destination=type_.topic, id=str(event.id)),
                "messaging.consumer.group.name": group,
                "cloudevents.event_type": type_.type,
            }
            with spans.span(f"process {type_.topic}", SpanKind.CONSUMER, attributes):
                await reaction(event, work)

        return react

    return {type_: traced(type_, reaction) for type_, reaction in reactions.items()}


def traced_work(work: Mapping[type[Task], Work], spans: Spans, *, system: str) -> dict[type[Task], Work]:
    """The same work by type of task."""

    def traced(type_: type[Task], perform: Work) -> Work:
        async def performed(task: Task) -> None:
            if not spans.tells(current()):
                await perform(task)
                return
            attributes = _processing(system, destination=type_.name, id=str(task.id))
            with spans.span(f"process {type_.name}", SpanKind.CONSUMER, attributes):
                await perform(task)

        return performed

    return {type_: traced(type_, perform) for type_, perform in work.items()}


def _processing(system: str, *, destination: str, id: str) -> dict[str, str | int]:
    return {
        "messaging.system": system,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": destination,
        "messaging.message.id": id,
    }
