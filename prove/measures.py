"""What a process holds, as the system sees it."""

from dataclasses import dataclass
from pathlib import Path

from prove.process import Process

MORE_DESCRIPTORS = 40  # connections come and go
MORE_CONNECTIONS = 12
GIVEN_BACK_SECONDS = 120.0  # within which connections that a burst needed are gone again
MORE_RESIDENT_MIB = 80.0
RESIDENT_TIMES = 1.5


@dataclass(frozen=True, slots=True)
class Measure:
    """Of a process and its children at one moment."""

    life: int
    descriptors: int
    resident_mib: float


def measure(process: Process, life: int) -> Measure:
    """Zeros for one that is gone."""
    descriptors, kib = 0, 0
    for member in process.family():
        try:
            descriptors += len(list(Path(f"/proc/{member.pid}/fd").iterdir()))
            status = Path(f"/proc/{member.pid}/status").read_text()
        except OSError:
            continue
        kib += next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
    return Measure(life, descriptors, kib / 1024)


def growth(name: str, before: Measure, after: Measure) -> str | None:
    """What has grown beyond what a load may leave behind; only within one life can that be told."""
    if before.life != after.life:
        return None
    if after.descriptors > before.descriptors + MORE_DESCRIPTORS:
        return f"I10: {name} had {before.descriptors} descriptors and has {after.descriptors}"
    if after.resident_mib > before.resident_mib * RESIDENT_TIMES + MORE_RESIDENT_MIB:
        return f"I10: {name} had {before.resident_mib:.0f} MiB and has {after.resident_mib:.0f}"
    return None
