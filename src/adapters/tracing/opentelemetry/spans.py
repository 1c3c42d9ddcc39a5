"""Spans of OpenTelemetry, below the place in the trace that the work goes on at."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from types import TracebackType
from typing import Final, TypeAlias

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from ports.trace_context import TraceContext, current, following

Attributes: TypeAlias = Mapping[str, str | int]

_NOWHERE: Final = Context()
_UNTOLD: Final = f"{TraceFlags.RANDOM_TRACE_ID:02x}"
_NO_SPAN: Final = nullcontext(INVALID_SPAN)  # takes what it is told, and forgets it


class Spans:
    """Makes spans.

    Their attributes are names, ids and numbers. What fails is told by the kind of its error alone: the words of errors
    may hold what is nobody's business. Of a trace that nobody wants told, which is most of them where traffic is heavy,
    no spans are made at all: what is done for it stays at the place where that was decided.

    ``ratio`` is what the provider's sampler asks about the first span of a trace, where it asks for nothing but its id.
    """

    def __init__(self, provider: TracerProvider, *, ratio: TraceIdRatioBased | None = None) -> None:
        self._ids = provider.id_generator = _Ids()  # before the tracer, which keeps it
        self._sampler = provider.sampler
        self._tracer = provider.get_tracer("crossdock", version("crossdock"))
        self._bound = None if ratio is None else ratio.bound
        self._does_as_the_parent = isinstance(provider.sampler, ParentBased)

    def tells(self, below: TraceContext | None) -> bool:
        """Whether spans below this place may be told; others need not be made."""
        return below is None or not self._does_as_the_parent or below.is_sampled

    def span(self, name: str, kind: SpanKind, attributes: Attributes) -> AbstractContextManager[Span]:
        """A span below the current place, which is the current place inside."""
        below = current()
        return _Inside(self.begin(name, kind, attributes, below=below)) if self.tells(below) else _NO_SPAN

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

    def of_request(self, name: str, below: TraceContext | None) -> tuple[TraceContext | None, Span | None]:
        """Where what is done for a request belongs, and its span if it is told, which whoever called ends."""
        if not self.tells(below):
            return below, None
        if below is None:
            self._ids.chosen = trace_id = self._ids.generate_trace_id()
            if self._drops(trace_id, name):
                # What the tracer would say too, only that it takes five times as long.
                self._ids.chosen = None
                return TraceContext(f"00-{trace_id:032x}-{self._ids.generate_span_id():016x}-{_UNTOLD}"), None
        span = self.begin(name, SpanKind.SERVER, {}, below=below)
        return place_of(span), span if span.is_recording() else None

    def _drops(self, trace_id: int, name: str) -> bool:
        if self._bound is not None:  # a comparison, which the sampler wraps into three objects
            return trace_id & TraceIdRatioBased.TRACE_ID_LIMIT >= self._bound
        return self._sampler.should_sample(_NOWHERE, trace_id, name, SpanKind.SERVER).decision is Decision.DROP


class _Ids(RandomIdGenerator):
    """Random ids; of a trace the one that was chosen just before, so that nobody asks the sampler about another."""

    chosen: int | None = None

    def generate_trace_id(self) -> int:
        chosen, self.chosen = self.chosen, None
        return super().generate_trace_id() if chosen is None else chosen


class _Inside:
    """Follows a span, ends it, and says of it what has failed. Not a generator: there are several for each message."""

    __slots__ = ("_following", "_span")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._following = following(place_of(span))

    def __enter__(self) -> Span:
        self._following.__enter__()
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._following.__exit__(kind, error, at)
        if error is not None:
            fail(self._span, error)
        self._span.end()


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
