"""How a process ends that has nothing to end yet, or does not end by itself."""

import _thread
import os
import select
import signal
import time
from contextlib import suppress
from typing import Final

_WORDS: Final = b"not everything had ended within the grace of CROSSDOCK_GRACE; what is left comes again\n"


def end_when_told() -> None:
    """SIGTERM and Ctrl-C end the process with 0, until somebody handles them who has more to end than imports."""

    def end(*_: object) -> None:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    if hasattr(signal, "SIGUSR2"):  # it changes what is logged, and nobody listens yet: it would end the process too
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def end_at_the_latest(seconds: float) -> None:
    """The net below the bounds of all parts: what has not ended by then is ended.

    Nothing is lost by it, since any process may die at any step. It waits for no lock, neither here nor in its thread:
    a signal handler may call it, while what was interrupted holds the lock of logging or of threading, and hangs.
    """
    _thread.start_new_thread(_end, (max(seconds - 0.5, 0.5),))


def _end(seconds: float) -> None:
    time.sleep(seconds)
    with suppress(OSError, ValueError):  # closed
        if select.select([], [2], [], 0)[1]:  # and not a pipe that nobody reads
            os.write(2, _WORDS)
    os._exit(0)
