"""Which checks cannot be well while another is in trouble: one fault is one cause then, wherever it is told."""

from collections.abc import Mapping, Sequence
from typing import Final

from ports.trouble import Cause

_WITH_STORAGE: Final = ("storage",)
_WITH_BOTH: Final = ("storage", "event_broker")

# The first that is in trouble is the cause.
RESTS_ON: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("event_relay", "consumer", "publishing"), _WITH_BOTH),
    "handling": (*_WITH_BOTH, "consumer", "reactions"),
    **dict.fromkeys(("task_relay", "retry", "housekeeping", "renew", "reactions", "performers"), _WITH_STORAGE),
    **dict.fromkeys(("handing_over", "performing"), _WITH_STORAGE),
    "retrying": (*_WITH_STORAGE, "consumer", "reactions"),
}

_OF_A_PART: Final = {("event_broker", Cause.STUCK)}  # one queue does not answer, and the others go on


def holds_up(check: str, cause: Cause) -> bool:
    """Whether a check in such trouble keeps what rests on it from getting on."""
    return (check, cause) not in _OF_A_PART
