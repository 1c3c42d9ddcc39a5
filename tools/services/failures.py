"""What can go wrong with a server, each with its cure in the message."""

from pathlib import Path

LAST_LINES = 20


class Failure(Exception):
    """A server is not to be had."""


class NotInstalled(Failure):
    """Programs are missing; ``packages`` are the Debian packages that bring them."""

    def __init__(self, packages: list[str]) -> None:
        self.packages = packages
        super().__init__(f"not installed: apt install {' '.join(packages)} (INSTALL=1 or CI=true does it)")


class PortTaken(Failure):
    """Somebody else listens there."""


class NotStarted(Failure):
    """It ended at its start, or did not answer in time."""

    def __init__(self, what: str, log: Path) -> None:
        tail = log.read_text(errors="replace").splitlines()[-LAST_LINES:] if log.exists() else []
        super().__init__("\n    ".join([f"{what}; its log is {log}", *tail]))
