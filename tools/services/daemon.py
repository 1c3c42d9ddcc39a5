"""One process of a server, which outlives who started it and can be ended by another."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.services.processes import Process

STEP = 0.02
DIES_WITHIN = 10.0  # after SIGKILL, on a machine that is busy


class Daemon:
    """A process whose pid and start are kept in a file, so that none but it is ever ended."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._child: subprocess.Popen[bytes] | None = None

    def spawn(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None, user: str = ""
    ) -> None:
        """Start it in a session of its own: no Ctrl-C of a terminal reaches it."""
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                cwd=log.parent,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=user or None,
                group=user or None,
                extra_groups=[] if user else None,
            )
        process = Process.of(self._child.pid)
        self._file.write_text(f"{process.pid} {process.started}\n")

    @property
    def process(self) -> Process | None:
        """It, while it lives, whoever started it."""
        self._reap()
        try:
            pid, _, started = self._file.read_text().strip().partition(" ")
        except FileNotFoundError:
            return None
        process = Process(int(pid), started)
        return process if process.alive else None

    def end(self, gently: signal.Signals, seconds: float) -> None:
        """Ask it to end, and kill what is left of it when the time is over."""
        if (process := self.process) is not None:
            family = process.family()
            _send(family, signal.SIGCONT)
            _send([process], gently)
            if not self._gone(family, seconds):
                self.kill()
                _send(family, signal.SIGKILL)
                self._gone(family, DIES_WITHIN)
        self._file.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL to all of it at once: it gets no chance to tidy up."""
        if (process := self.process) is not None:
            _send([process], signal.SIGSTOP)  # so that it has no more children while they are counted
            family = process.family()
            _send(family, signal.SIGKILL)
            self._gone(family, DIES_WITHIN)
        self._file.unlink(missing_ok=True)

    def freeze(self) -> None:
        """SIGSTOP to all of it: its connections stay open, and nobody answers."""
        if (process := self.process) is not None:
            _send([process], signal.SIGSTOP)
            family = process.family()
            _send(family, signal.SIGSTOP)
            until = time.monotonic() + DIES_WITHIN
            while any(member.state not in "TX" for member in family) and time.monotonic() < until:
                time.sleep(STEP)

    def thaw(self) -> None:
        """SIGCONT to all of it."""
        if (process := self.process) is not None:
            _send(process.family(), signal.SIGCONT)

    def _gone(self, family: list[Process], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while any(member.alive for member in family):
            if time.monotonic() > until:
                return False
            time.sleep(STEP)
        self._reap()
        return True

    def _reap(self) -> None:
        """So that it is no zombie when it is dead."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None


def _send(family: list[Process], number: signal.Signals) -> None:
    for member in family:
        if member.alive:
            try:
                os.kill(member.pid, number)
            except ProcessLookupError:
                continue
