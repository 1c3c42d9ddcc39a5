"""A set of servers beside the standing one: the same command line, on other ports."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.services.addresses import FOLDER, PORTS, SHIFT
from tools.services.ports import is_taken

SECONDS: Final = 120
SHIFTS: Final = range(301, 10_000, 7)


class SecondSet:
    """The command line on ports that nobody has."""

    def __init__(self) -> None:
        standing = {port for ports in PORTS.values() for port in ports.values()}
        start = os.getpid() % len(SHIFTS)
        for shift in (*SHIFTS[start:], *SHIFTS[:start]):
            moved = {port + shift for port in standing}
            if not moved & standing and not any(map(is_taken, moved)):
                break
        self._shift: int = shift
        first = str(FOLDER).removesuffix(f"-{SHIFT}") if SHIFT else FOLDER
        self.folder = Path(f"{first}-{SHIFT + shift}")

    def port(self, name: str) -> int:
        """Where a server of this set is looked for."""
        return next(iter(PORTS[name].values())) + self._shift

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """The command line, and do not wait for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "tools.services", *arguments],
            env={**os.environ, "SERVICES_PORT_SHIFT": str(SHIFT + self._shift)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def do(self, *arguments: str) -> tuple[int, str]:
        """The command line: its exit code, and what it said."""
        with self.begin(*arguments) as process:
            said, _ = process.communicate(timeout=SECONDS)
            return process.returncode, said
