"""`crossdock api`, of one process or several, for tests to look at from outside."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0
NOBODY = "127.0.0.1:1"  # a port that nobody listens on: answering needs no broker


class Api:
    """The processes, told of by what they print."""

    def __init__(self, url: str, folder: Path, *arguments: str, **environ: str) -> None:
        self._log = folder / "api.log"
        settings = {
            "DATABASE_URL": url,
            "CROSSDOCK_EVENT_BROKER": "kafka",
            "KAFKA_BOOTSTRAP_SERVERS": NOBODY,
            "CROSSDOCK_WEATHER": "sample",
            "CROSSDOCK_LOG_FORMAT": "console",
            "PORT": "0",
        }
        with self._log.open("wb") as log:
            self.parent = subprocess.Popen(
                [sys.executable, "-m", "entrypoints.cli", "api", *arguments],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **settings, **environ},
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """Everything that was printed."""
        return self._log.read_text()

    @property
    def children(self) -> list[int]:
        """The processes that answer, as the system knows them."""
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    @property
    def address(self) -> str:
        """Where they answer."""
        found = re.search(r"answers at (http://\S+)", self.log)
        return found[1] if found else "http://127.0.0.1:1"

    def answers(self) -> bool:
        """Whether any of them does."""
        try:
            return httpx.get(f"{self.address}/livez", timeout=1).is_success
        except httpx.HTTPError:
            return False


def becomes(look: Callable[[], bool]) -> bool:
    """Whether it becomes true before patience ends."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if look():
            return True
        time.sleep(0.05)
    return False


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
