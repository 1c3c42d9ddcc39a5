"""An event broker whose messages are traced."""

from collections.abc import Sequence
from dataclasses import replace

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind

from adapters.tracing.opentelemetry.spans import Spans, fail, place_of
from ports.event_broker import EventBroker, Outcome, Subscription
from ports.message import Message
from ports.trace_context import TraceContext, trace_of
from ports.trouble import Trouble


class TracedEventBroker(EventBroker):
    """Each message gets a span below what recorded it, and carries it on; a batch gets one that is linked to them."""

    def __init__(self, broker: EventBroker, spans: Spans, *, system: str) -> None:
        self._broker = broker
        self._spans = spans
        self._system = system

    @property
    def trouble(self) -> Trouble | None:
        return self._broker.trouble

    async def start(self) -> None:
        await self._broker.start()

    async def stop(self) -> None:
        await self._broker.stop()

    async def identity(self) -> str:
        return await self._broker.identity()

    async def declare(self, topics: Sequence[str], group: str) -> None:
        await self._broker.declare(topics, group)

    async def missing(self, topics: Sequence[str], group: str) -> Sequence[str]:
        return await self._broker.missing(topics, group)

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        belows = [trace_of(message.attributes) for message in messages]
        if not any(map(self._spans.tells, belows)):
            return await self._broker.publish(messages)
        spans = list(map(self._begin, messages, belows))
        every = [*spans, *self._batch(spans)]
        try:
            outcomes = await self._broker.publish(list(map(_carrying, messages, spans)))
            for span, outcome in zip(spans, outcomes, strict=True):
                if outcome is not None:
                    fail(span, outcome)
        except BaseException as error:
            for span in every:
                fail(span, error)
            raise
        finally:
            for span in every:
                span.end()
        return outcomes

    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        return self._broker.subscribe(topics, group)

    async def backlog(self, topics: Sequence[str], group: str) -> int:
        return await self._broker.backlog(topics, group)

    def _begin(self, message: Message, below: TraceContext | None) -> Span:
        if not self._spans.tells(below):
            return INVALID_SPAN
        attributes = {
            **self._attributes,
            "messaging.destination.name": message.topic,
            "messaging.message.id": message.attributes.get("id", ""),
            "cloudevents.event_type": message.attributes.get("type", ""),
        }
        return self._spans.begin(f"send {message.topic}", SpanKind.PRODUCER, attributes, below=below)

    def _batch(self, spans: Sequence[Span]) -> list[Span]:
        """What was sent together belongs to many traces, so this is one of its own."""
        told = [span for span in spans if span.is_recording()]
        if len(told) < 2:
            return []
        attributes = {**self._attributes, "messaging.batch.message_count": len(spans)}
        return [self._spans.begin("send", SpanKind.CLIENT, attributes, below=None, links=told)]

    @property
    def _attributes(self) -> dict[str, str | int]:
        return {
            "messaging.system": self._system,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
        }


def _carrying(message: Message, span: Span) -> Message:
    place = place_of(span)
    return message if place is None else replace(message, attributes={**message.attributes, **place.attributes})
