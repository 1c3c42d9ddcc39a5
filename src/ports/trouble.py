"""What keeps something from getting on: a sentence for people, with a cause that machines can rely on."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self


class Cause(StrEnum):
    """Why something does not get on. The words stay as they are: alerts are written against them."""

    OUT_OF_REACH = "out_of_reach"  # the other side cannot be reached, or does not answer
    FULL = "full"  # the other side has no room left
    LIMITED = "limited"  # no more is asked of the other side for now: a quota is spent, or it wants a pause
    REFUSED = "refused"  # as it stands it never will: a setting, or the other side, has to be changed
    FAILED = "failed"  # a fault of ours; the log has it
    STUCK = "stuck"  # what is in hand does not end
    BEHIND = "behind"  # what is due is done by nobody
    DESK_FULL = "desk_full"  # so much waits for a person that no more is taken
    DEAD_LETTERS = "dead_letters"  # what could not be delivered waits for a person
    BLOCKED = "blocked"  # something keeps the event loop, and with it everything


class Trouble(str):
    """What is wrong, in words for people. It never holds a secret."""

    __slots__ = ("cause",)

    cause: Cause

    def __new__(cls, cause: Cause, words: str) -> Self:
        """Say it in ``words``."""
        trouble = super().__new__(cls, words)
        trouble.cause = cause
        return trouble


def together(troubles: Iterable[str | None]) -> str | None:
    """All that is wrong in one sentence; its cause is that of the first which says one. None when nothing is."""
    found = [trouble for trouble in troubles if trouble]
    if not found:
        return None
    cause = next((trouble.cause for trouble in found if isinstance(trouble, Trouble)), Cause.OUT_OF_REACH)
    return Trouble(cause, "; ".join(found))
