"""How the work of others is run, and what is kept of its failures."""

import asyncio
from collections.abc import Awaitable, Iterable
from logging import Logger
from typing import Any, TypeVar

from domain.model.errors import Refusal
from ports.errors import PortError, Rejected

# Why something counts as failed that nobody saw fail. What bears this reason is run alone: it may end the next process
# as well, and nobody else shall pay for that.
PROCESS_ENDED = "the process that had it in hand ended, or was too slow"


T = TypeVar("T")


async def together(works: Iterable[Awaitable[T]]) -> list[T]:
    """Do all of them at once and to their end, whichever fails; then raise the first failure, if there is one."""
    outcomes: list[Any] = await asyncio.gather(*works, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def is_told_to_end() -> bool:
    """Whether the running task was cancelled by somebody; a `CancelledError` without that is a failure."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def reason(failure: BaseException) -> str:
    """What is kept of a failure: its kind, and its words in one line that every store takes."""
    try:
        words = storable(" ".join(str(failure).split()))
    except Exception:  # an error of others that cannot even be told
        words = ""
    if isinstance(failure, Rejected | Refusal) and words:
        return words
    return f"{type(failure).__name__}: {words}" if words else type(failure).__name__


def say_dead(log: Logger, name: str, why: str, text: str, *arguments: object, failure: object = None) -> None:
    """Tell that something waits for a person from now on; ``name`` is the type of an event, or that of a task.

    With the story of ``failure``, unless somebody meant to fail in this way.
    """
    bug = failure if isinstance(failure, Exception) and not isinstance(failure, PortError | Refusal) else None
    log.error(text, *arguments, exc_info=bug, extra={"dead_letter": name, "dead_reason": why})


def storable(text: str) -> str:
    """The text, with what no store takes (NUL, lone surrogates) escaped."""
    if text.isprintable():
        return text
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
