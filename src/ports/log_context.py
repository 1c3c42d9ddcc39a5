"""What is being handled at this moment, for the lines that are written meanwhile, by whomever."""

from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Handled:
    """A message or a task: the id that it bears on its way, what it is about, and where it travels."""

    message_id: str
    subject: str | None = None
    topic: str | None = None


_handled: ContextVar[Handled | None] = ContextVar("handled", default=None)


def handled() -> Handled | None:
    """What the running task (of asyncio) is handling."""
    return _handled.get()


class Handling:
    """Inside, ``handled()`` is this. Not a generator: there is one for each message."""

    __slots__ = ("_one", "_token")

    def __init__(self, one: Handled) -> None:
        self._one = one

    def __enter__(self) -> None:
        self._token: Token[Handled | None] = _handled.set(self._one)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _handled.reset(self._token)
