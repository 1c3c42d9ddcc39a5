"""One process of the product, from its start to its end: by order, by fault or by kill -9."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.services import processes

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
STEP = 0.02

_ANSWERS = re.compile(r"answers at (http://\S+)")
_READY = {
    "up": _ANSWERS,
    "api": _ANSWERS,
    "relay": re.compile(r"The relay works"),
    "consumer": re.compile(r"The consumer works"),
    "worker": re.compile(r"\bready\."),
}
# Nothing that is set on this machine may change what is proven.
_KEPT = ("HOME", "LANG", "PATH", "TZ")


class DidNotStart(Exception):
    """A process did not come up; the message has the end of its log."""


class Process:
    """`crossdock COMMAND` in a folder of its own choice; its log is appended to over all its lives."""

    def __init__(
        self, folder: Path, *command: str, settings: Mapping[str, str], name: str = "", cwd: Path | None = None
    ) -> None:
        self.role = command[0]
        self.name = name or command[0]
        self.file = folder / f"{self.name}.log"
        self._cwd = cwd or folder
        self._command: Sequence[str] = command
        self._settings = dict(settings)
        self._ready: re.Match[str] | None = None
        self._looked = 0

    def spawn(self, **more: str) -> Self:
        """Begin a life, with some settings for this one alone; `wait_until_ready` tells when it is of use."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        with self.file.open("ab") as log:
            self._looked = log.tell()
            self._ready = None
            self.process = subprocess.Popen(
                [sys.executable, "-m", "entrypoints.cli", *self._command],
                cwd=self._cwd,
                env={**kept, "PYTHONPATH": str(ROOT / "src"), **self._settings, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for who proves, and a kill may be meant for all of it
            )
        return self

    def is_ready(self) -> bool:
        """Whether it has said that it works, in this life."""
        if self._ready is None:
            with self.file.open("rb") as log:
                log.seek(self._looked)
                self._ready = _READY[self.role].search(log.read().decode(errors="replace"))
        return self._ready is not None

    def wait_until_ready(self, seconds: float = START_SECONDS) -> Self:
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if not self.is_alive:
                raise DidNotStart(f"{self.name} ended with {self.process.returncode} at its start:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{self.name} did not start within {seconds:g} s:\n{self.tail()}")
            time.sleep(STEP)
        return self

    def __enter__(self) -> Self:
        try:
            return self.spawn().wait_until_ready()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing of it behind, also of one that is stopped."""
        if hasattr(self, "process"):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            for member in self.family()[1:]:
                with suppress(ProcessLookupError):
                    os.kill(member.pid, signal.SIGKILL)
            self.process.wait(10)

    @property
    def url(self) -> str:
        """Where it answers."""
        assert self._ready is not None
        assert self._ready.re is _ANSWERS
        return self._ready[1]

    @property
    def log(self) -> str:
        """Everything that all its lives have written."""
        return self.file.read_text(errors="replace")

    def tail(self, characters: int = 3_000) -> str:
        """The end of its log."""
        return self.log[-characters:]

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def is_stopped(self) -> bool:
        """Whether the operating system says so (state T)."""
        try:
            return processes.Process.of(self.process.pid).state == "T"
        except ProcessLookupError:
            return False

    def family(self) -> list[processes.Process]:
        """It, first, and its children."""
        try:
            parent = processes.Process.of(self.process.pid)
        except ProcessLookupError:
            return []
        return [parent, *(member for member in parent.family() if member.pid != parent.pid)]

    def kill(self) -> None:
        """kill -9, also of one that is stopped; of it alone, whatever becomes of its children."""
        if self.is_alive:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def kill_child(self) -> bool:
        """kill -9 of one of its children; false if there was none."""
        for child in reversed(self.family()[1:]):
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
                return True
        return False

    def freeze(self) -> None:
        """SIGSTOP to all of it."""
        self._send_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send_all(signal.SIGCONT)

    def tell_to_end(self) -> None:
        """SIGTERM."""
        if self.is_alive:
            self.process.send_signal(signal.SIGTERM)

    def end(self, seconds: float = 15) -> int:
        """SIGTERM; its exit code."""
        self.tell_to_end()
        return self.process.wait(seconds)

    def _send_all(self, number: signal.Signals) -> None:
        for member in self.family():
            with suppress(ProcessLookupError):
                os.kill(member.pid, number)
