"""Which checks cannot be well while another is in trouble: one fault is one cause then, wherever it is told."""

from collections.abc import Mapping, Sequence
from typing import Final

_WITH_STORAGE: Final = ("storage",)
_WITH_BOTH: Final = ("storage", "event_broker")

# The first that is in trouble is the cause.
RESTS_ON: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("event_relay", "consumer", "publishing", "handling"), _WITH_BOTH),
    **dict.fromkeys(("task_relay", "retry", "housekeeping", "renew", "reactions", "performers"), _WITH_STORAGE),
    **dict.fromkeys(("retrying", "handing_over", "performing"), _WITH_STORAGE),
}
