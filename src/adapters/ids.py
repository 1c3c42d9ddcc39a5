"""Identities that sort by time."""

import os
import threading
from datetime import UTC, datetime

from domain.model.identity import Identity
from ports.clock import Clock
from ports.ids import Ids

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62
_SEED = 0x7FF
_COUNTER = 0xFFF
_RANDOM = (1 << 62) - 1
_BYTES = 10  # of randomness in each
_AT_ONCE = 256  # ids for which random bytes are fetched: the system call costs more than the rest of an id


class UuidV7Ids(Ids):
    """UUIDs of version 7 (RFC 9562 §5.7), each greater than the one before it, as long as the process lives.

    Timestamp and ``rand_a`` are one number that only grows (RFC 9562 §6.2, method 1): ``rand_a`` starts each
    millisecond at a random value below half of its range, counts, and carries into the timestamp when it runs over. So
    ids stay in order within a millisecond and when the wall clock is set back. May be called from any thread.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = 0
        self._lock = threading.Lock()
        self._random: list[int] = []
        self._process = 0

    def new(self) -> Identity:
        since = self._clock.now() - _EPOCH
        milliseconds = (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
        with self._lock:
            if not self._random or self._process != os.getpid():  # a forked process must not give the same ids
                self._random, self._process = _drawn(), os.getpid()
            random = self._random.pop()
            seeded = milliseconds << 12 | random >> 62 & _SEED
            self._latest = tick = max(seeded, self._latest + 1)
        text = f"{tick >> 12 << 80 | (tick & _COUNTER) << 64 | _VERSION_AND_VARIANT | random & _RANDOM:032x}"
        return Identity(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def _drawn() -> list[int]:
    drawn = os.urandom(_BYTES * _AT_ONCE)
    return [int.from_bytes(drawn[at : at + _BYTES], "big") for at in range(0, len(drawn), _BYTES)]
