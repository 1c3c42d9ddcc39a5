"""Processes as the system shows them: which belong to a server, and are they still the same."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

DEAD = frozenset("ZX")  # a zombie waits for its parent only


@dataclass(frozen=True, slots=True)
class Process:
    """A process; its start tells it from a later one with the same pid."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process with this pid. `ProcessLookupError` when there is none."""
        fields = _stat(pid)
        return cls(pid, _started(fields))

    @property
    def state(self) -> str:
        """The letter of its state; X when it is gone."""
        try:
            fields = _stat(self.pid)
        except ProcessLookupError:
            return "X"
        return _state(fields) if _started(fields) == self.started else "X"

    @property
    def alive(self) -> bool:
        return self.state not in DEAD

    def family(self) -> list[Self]:
        """This process, what descends from it, and what is in its session, as long as it lives."""
        if not self.alive:
            return []
        parents: dict[int, int] = {}
        sessions: dict[int, int] = {}
        starts: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = _stat(int(entry.name))
            except ProcessLookupError:
                continue
            if _state(fields) not in DEAD:
                pid = int(entry.name)
                parents[pid], sessions[pid], starts[pid] = int(fields[1]), int(fields[3]), _started(fields)
        members = {self.pid} | {pid for pid, session in sessions.items() if session == self.pid}
        while more := {pid for pid, parent in parents.items() if parent in members} - members:
            members |= more
        return [type(self)(pid, starts[pid]) for pid in members if pid in starts]


def _stat(pid: int) -> list[str]:
    """From the state on; the name before it may have spaces and brackets inside."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError) as gone:
        raise ProcessLookupError(pid) from gone


def _state(fields: list[str]) -> str:
    """Its letter. Of a zombie other threads may still be ending, and hold its ports until they have."""
    return "D" if fields[0] == "Z" and int(fields[17]) > 1 else fields[0]


def _started(fields: list[str]) -> str:
    """Ticks since the boot, and which boot: data folders may outlive it."""
    return f"{fields[19]} {Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
