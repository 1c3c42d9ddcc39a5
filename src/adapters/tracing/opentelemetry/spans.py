"""Spans of OpenTelemetry, below the place in the trace that the work goes on at."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TypeAlias

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TracerProvider,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from ports.trace_context import TraceContext, current, following

Attributes: TypeAlias = Mapping[str, str | int]


class Spans:
    """Makes spans.

    Their attributes are names, ids and numbers. What fails is told by the kind of its error alone: the words of errors
    may hold what is nobody's business.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer("crossdock", version("crossdock"))

    @contextmanager
    def span(self, name: str, kind: SpanKind, attributes: Attributes) -> Iterator[Span]:
        """A span below the current place, which is the current place inside."""
        span = self.begin(name, kind, attributes, below=current())
        try:
            with following(place_of(span)):
                yield span
        except BaseException as error:
            fail(span, error)
            raise
        finally:
            span.end()

    def begin(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        below: TraceContext | None,
        links: Sequence[Span] = (),
    ) -> Span:
        """A span that whoever called ends; the first of a trace when there is nothing that it is below."""
        return self._tracer.start_span(
            name,
            context=_context_of(below),
            kind=kind,
            attributes=attributes,
            links=[Link(span.get_span_context()) for span in links],
        )

    @staticmethod
    def of_request() -> TraceContext | None:
        """The place of the span that the web framework has begun for the request."""
        return place_of(get_current_span())


def fail(span: Span, error: BaseException) -> None:
    """Say that it failed, and by what kind of error."""
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(StatusCode.ERROR)


def place_of(span: Span) -> TraceContext | None:
    """What is below this span carries this."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return TraceContext(
        f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}",
        context.trace_state.to_header(),
    )


def _context_of(place: TraceContext | None) -> Context:
    if place is None:
        return Context()
    parent = SpanContext(
        trace_id=int(place.trace_id, 16),
        span_id=int(place.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(place.parent[53:], 16)),
        trace_state=TraceState.from_header([place.state]) if place.state else None,
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())
