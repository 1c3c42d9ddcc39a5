"""What to do about a check that is in trouble, in one sentence for people."""

from collections.abc import Mapping
from typing import Final

from ports.trouble import Cause

_CURES: Final[Mapping[Cause, str]] = {
    Cause.OUT_OF_REACH: "See that it runs and can be reached from here: `crossdock doctor` asks each service.",
    Cause.FULL: "Make room on its disk; the service goes on by itself.",
    Cause.REFUSED: "Change the setting that is named, or the other side; `crossdock doctor` asks again.",
    Cause.FAILED: "Look into the log for the error and where it was raised.",
    Cause.STUCK: "Look at what it waits for; when it does not end by itself, restart this process: nothing is lost.",
    Cause.BEHIND: "See that the role that does this runs, and look into its log.",
    Cause.DESK_FULL: "Replay or discard what waits at the desk: `crossdock dead-letters list`.",
    Cause.BLOCKED: "Look into the log for where it stood; give the process a processor of its own.",
}


def cure(cause: Cause) -> str:
    """What to do about it."""
    return _CURES[cause]
