"""How the processes of a worker let their parent know that they move."""

import mmap
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from domain.delivery.in_hand import STUCK_SECONDS
from entrypoints.health import Found
from ports.trouble import Cause, Trouble

SLOTS: Final = 256  # as many processes as a worker may have
BEAT_SECONDS: Final = 1.0
STILL_SECONDS: Final = 8.0  # without a beat; with the look at it that is seen within ten

_ROW: Final = struct.Struct("=qdd")


@dataclass(frozen=True, slots=True)
class Beat:
    """When a process moved last, and since when it has its oldest task in hand, or 0 when it has none.

    Both on the monotonic clock, which all processes of a machine share.
    """

    pid: int
    at: float
    busy_since: float

    def still_for(self, now: float) -> float:
        """Seconds that it has not got on, beyond what is usual; 0 when it does."""
        if now - self.at > STILL_SECONDS:
            return now - self.at
        if self.busy_since and now - self.busy_since >= STUCK_SECONDS:
            return now - self.busy_since
        return 0.0


class Beats:
    """Memory that a parent shares with the processes that it forks afterwards, a row for each.

    A process writes its own row alone and nobody waits for anybody: one that is frozen just stops writing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._memory = mmap.mmap(-1, SLOTS * _ROW.size)

    def beat(self, slot: int, busy_since: float | None) -> None:
        """Say that this process moves, and since when it has its oldest task in hand."""
        _ROW.pack_into(self._memory, slot % SLOTS * _ROW.size, os.getpid(), self._clock(), busy_since or 0.0)

    def read(self) -> Sequence[Beat]:
        """The processes that have moved and were not forgotten; one that took another's place is there in its stead."""
        return [row for row in self._rows() if row.pid]

    def _rows(self) -> Sequence[Beat]:
        return [Beat(*row) for row in _ROW.iter_unpack(self._memory[:])]

    def forget_gone(self) -> None:
        """Drop the rows of processes that are no more and were not replaced, as when a pool has shrunk.

        Not when all are gone: then nothing is performed, which is no reason to be silent.
        """
        gone = [slot for slot, row in enumerate(self._rows()) if row.pid and not _is_there(row.pid)]
        if len(gone) == len(self.read()):
            return
        for slot in gone:
            _ROW.pack_into(self._memory, slot * _ROW.size, 0, 0.0, 0.0)

    async def look(self) -> Found:
        """Whether each of them gets on; nothing is performed when none does."""
        now = self._clock()
        if any(beat.still_for(now) for beat in self.read()):
            self.forget_gone()
        beats = self.read()
        still = [beat for beat in beats if beat.still_for(now)]
        if not still:
            return Found("ready")
        longest = max(still, key=lambda beat: beat.still_for(now))
        words = (
            f"{len(still)} of {len(beats)} processes of this worker do not get on;"
            f" process {longest.pid} has not for {longest.still_for(now):.0f} s"
        )
        return Found("unavailable" if len(still) == len(beats) else "degraded", Trouble(Cause.STUCK, words))


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # the second: its number is somebody else's now
        return False
    return True
