"""Which trace a piece of work belongs to: W3C Trace Context, as it travels in requests, rows and messages.

Who works on something follows its trace, and what is recorded meanwhile carries the trace on. Nothing is decided by it.
Source: https://www.w3.org/TR/trace-context/
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from domain.model.value import value

PARENT: Final = "traceparent"
STATE: Final = "tracestate"

_SANE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SANE_STATE = re.compile(r"[\x20-\x7e]{1,512}")
_LENGTH = 55


@value
class TraceContext:
    """A place in a trace: what is done next belongs below it."""

    parent: str
    state: str = ""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.parent[3:35]

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return self.parent[36:52]

    @property
    def is_sampled(self) -> bool:
        """Whether whoever began the trace wants it told."""
        return self.parent[-1] in "13579bdf"

    @property
    def attributes(self) -> dict[str, str]:
        """What a row or a message has to carry to stay in this trace."""
        return {PARENT: self.parent, STATE: self.state} if self.state else {PARENT: self.parent}


def trace_from(parent: str | None, state: str | None = None) -> TraceContext | None:
    """The place that these say, if they are sane; of a later version of the standard, what this one knows of it."""
    if parent is None or not _SANE_PARENT.match(parent):
        return None
    if len(parent) > _LENGTH:
        if parent.startswith("00") or parent[_LENGTH] != "-":
            return None
        parent = parent[:_LENGTH]
    return TraceContext(f"00{parent[2:]}", state if state is not None and _SANE_STATE.fullmatch(state) else "")


def trace_of(attributes: Mapping[str, str]) -> TraceContext | None:
    """The place that a row or a message carries."""
    return trace_from(attributes.get(PARENT), attributes.get(STATE))


# To be set and reset by itself where `following` costs too much: each request sets it.
CURRENT_TRACE: Final[ContextVar[TraceContext | None]] = ContextVar("trace_context", default=None)


def current() -> TraceContext | None:
    """Where the work that is going on belongs, or None when that is not known."""
    return CURRENT_TRACE.get()


def carried() -> dict[str, str]:
    """What is recorded now has to carry this."""
    context = CURRENT_TRACE.get()
    return {} if context is None else context.attributes


class following:  # noqa: N801 - it is used as a verb
    """What is done inside belongs there; with None nowhere. Not a generator: there is one for each message."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: TraceContext | None) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token: Token[TraceContext | None] = CURRENT_TRACE.set(self._context)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        CURRENT_TRACE.reset(self._token)
