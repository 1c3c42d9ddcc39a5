"""What is being handled at this moment, for the lines that are written meanwhile, by whomever, and for its trace."""

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from domain.model.value import value
from ports.trace_context import TraceContext, following


@value
class Handled:
    """A message or a task: the id that it bears on its way, what it is about, where it travels, and its trace."""

    message_id: str
    subject: str | None = None
    topic: str | None = None
    trace: TraceContext | None = None


CURRENT_REQUEST_ID: Final[ContextVar[str | None]] = ContextVar(
    "request_id", default=None
)  # of the request that is answered
_handled: ContextVar[Handled | None] = ContextVar("handled", default=None)


def handled() -> Handled | None:
    """What the running task (of asyncio) is handling."""
    return _handled.get()


class Handling:
    """Inside, ``handled()`` is this, and its trace is followed. Not a generator: there is one for each message."""

    __slots__ = ("_following", "_one", "_token")

    def __init__(self, one: Handled) -> None:
        self._one = one
        self._following = following(one.trace)

    def __enter__(self) -> None:
        self._token: Token[Handled | None] = _handled.set(self._one)
        self._following.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._following.__exit__(kind, error, at)
        _handled.reset(self._token)
