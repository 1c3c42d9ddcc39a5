"""The named steps of a message's life at which a process can be told to die.

``CROSSDOCK_FAULT=<point>:kill`` (or ``:freeze``, and optionally ``:<n>`` for the n-th time) arms one of them; a test
walks the whole list. Unarmed, a step costs one comparison.
"""

import os
import signal
from enum import StrEnum


class CrashPoint(StrEnum):
    """Each step between two durable facts."""

    API_BEFORE_COMMIT = "api.before-commit"
    API_AFTER_COMMIT = "api.after-commit"
    COMMIT_MID_BATCH = "commit.mid-batch"
    RELAY_AFTER_CLAIM = "relay.after-claim"
    RELAY_BEFORE_PUBLISH = "relay.before-publish"
    RELAY_AFTER_PUBLISH = "relay.after-publish"
    RELAY_BEFORE_MARK = "relay.before-mark"
    CONSUMER_BEFORE_EFFECT = "consumer.before-effect"
    CONSUMER_AFTER_EFFECT = "consumer.after-effect"
    CONSUMER_BEFORE_ACKNOWLEDGE = "consumer.before-acknowledge"
    TASK_AFTER_ENQUEUE = "task.after-enqueue"
    TASK_BEFORE_WORK = "task.before-work"
    TASK_AFTER_WORK = "task.after-work"
    DESK_MID_REPLAY = "desk.mid-replay"


_SIGNALS = {"kill": "SIGKILL", "freeze": "SIGSTOP"}


class _Fault:
    point: CrashPoint | None = None
    signal: str = ""
    left: int = 0


def arm(fault: str) -> None:
    """Arm ``<point>:kill|freeze[:<n>]``; `ValueError` says what is wrong with it. An empty string disarms."""
    if not fault:
        _Fault.point = None
        return
    point, _, rest = fault.partition(":")
    action, _, times = rest.partition(":")
    if point not in {known.value for known in CrashPoint}:
        raise ValueError(f"no such point; there are: {', '.join(CrashPoint)}")
    if action not in _SIGNALS:
        raise ValueError("a point is followed by :kill or :freeze")
    if times and not (times.isdecimal() and int(times) > 0):
        raise ValueError("the count after the action is 1 or more")
    _Fault.point, _Fault.signal, _Fault.left = CrashPoint(point), _SIGNALS[action], int(times or 1)


def reached(point: CrashPoint) -> None:
    """Die or stop here, if told to."""
    if _Fault.point is not point:
        return
    _Fault.left -= 1
    if _Fault.left == 0:
        os.kill(os.getpid(), getattr(signal, _Fault.signal))
