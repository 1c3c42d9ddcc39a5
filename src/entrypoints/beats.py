"""How the processes of a worker let their parent know that they move."""

import mmap
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from entrypoints.health import Found
from ports.trouble import Cause, Trouble

SLOTS: Final = 256  # as many processes as a worker may have
BEAT_SECONDS: Final = 1.0
STILL_SECONDS: Final = 8.0  # without a beat; with the look at it that is seen within ten

_ROW: Final = struct.Struct("=qdq")


@dataclass(frozen=True, slots=True)
class Beat:
    """When a process moved last, on the monotonic clock that all processes share, and how often it was done."""

    pid: int
    at: float
    done: int


class Beats:
    """Memory that a parent shares with the processes that it forks afterwards, a row for each.

    A process writes its own row alone and nobody waits for anybody: one that is frozen just stops writing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._memory = mmap.mmap(-1, SLOTS * _ROW.size)

    def beat(self, slot: int, done: int) -> None:
        """Say that this process moves, and how much it has done."""
        _ROW.pack_into(self._memory, slot % SLOTS * _ROW.size, os.getpid(), self._clock(), done)

    def read(self) -> Sequence[Beat]:
        """The processes that have ever moved; one that took another's place is there in its stead."""
        rows = (Beat(*row) for row in _ROW.iter_unpack(self._memory[:]))
        return [row for row in rows if row.pid]

    async def look(self) -> Found:
        """Whether each of them moves; nothing is performed when none does."""
        now = self._clock()
        beats = self.read()
        still = [beat for beat in beats if now - beat.at > STILL_SECONDS]
        if not still:
            return Found("ready")
        longest = max(still, key=lambda beat: now - beat.at)
        words = (
            f"{len(still)} of {len(beats)} processes of this worker stand still;"
            f" process {longest.pid} has for {now - longest.at:.0f} s"
        )
        return Found("unavailable" if len(still) == len(beats) else "degraded", Trouble(Cause.STUCK, words))
