"""How much is logged, which can be changed while the process works: SIGUSR2 turns debugging on, and off again.

SIGUSR1 is taken: Celery tells by it what its threads do, and its pool that a task has had its time.
"""

import _thread
import logging
import os
import signal
from collections.abc import Callable, Iterable
from typing import Final

from structlog import DropEvent
from structlog.typing import EventDict

SWITCHED: Final = "_CROSSDOCK_LOG_SWITCHED"  # tells a process that takes the place of another
SWITCH: Final = getattr(signal, "SIGUSR2", None)  # Windows has none

# These say with each call what our own lines say once; httpx also writes whole addresses, and a key may stand in them.
_CHATTY: Final = ("alembic", "amqp", "asyncio", "celery", "httpcore", "httpx", "kombu")
# They tell of each of their own retries as an error; what it comes to is told by our drivers,
# and by entrypoints.telemetry.
_SILENT: Final = ("aiokafka", "opentelemetry", "pika")
_NUMBERS: Final = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}

log = logging.getLogger("crossdock.log")


class _Level:
    """What this process has one of."""

    chosen = least = logging.INFO


def enough(_: object, level: str, event: EventDict) -> EventDict:
    """Drop a line that says less than is wanted now; first in the chain of our own loggers."""
    if _NUMBERS[level] < _Level.least:
        raise DropEvent
    return event


def is_wanted(level: int) -> bool:
    """Whether lines of this level are logged now; for whoever would otherwise make one for nothing, each time."""
    return level >= _Level.least


def set_level(level: str) -> None:
    """Log what is at least of this level, ``debug`` to ``critical``, until it is switched."""
    _Level.chosen = _NUMBERS[level]
    _apply(_Level.chosen)


def is_switched() -> bool:
    """Whether something else is logged than was chosen."""
    return _Level.least != _Level.chosen


def switch() -> None:
    """Debug, and back to what was chosen; where that is debugging, info and back."""
    other = logging.INFO if _Level.chosen == logging.DEBUG else logging.DEBUG
    _apply(_Level.chosen if is_switched() else other)
    text = "from here on at least %s is logged; SIGUSR2 changes it"
    log.log(max(_Level.least, logging.WARNING), text, logging.getLevelName(_Level.least).lower())


def switch_on_signal(others: Callable[[], Iterable[int]] = tuple) -> None:
    """Let SIGUSR2 `switch`, in this process and in ``others`` (their process ids) that belong to it.

    Not in the handler, which may have interrupted somebody in the middle of a line, but in a thread of its own.
    """
    if os.environ.pop(SWITCHED, None):
        switch()
    if SWITCH is not None:
        signal.signal(SWITCH, lambda *_: _thread.start_new_thread(_switch_all, (others,)))


def _switch_all(others: Callable[[], Iterable[int]]) -> None:
    switch()
    for pid in others():
        try:
            os.kill(pid, SWITCH or 0)
        except ProcessLookupError:
            continue


def _apply(least: int) -> None:
    _Level.least = least
    logging.getLogger().setLevel(least)
    debugging = least == logging.DEBUG
    for name in _CHATTY:
        logging.getLogger(name).setLevel(least if debugging else max(least, logging.WARNING))
    for name in _SILENT:
        logging.getLogger(name).setLevel(least if debugging else logging.CRITICAL)
