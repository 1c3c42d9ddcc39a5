"""A cache in the memory of this process."""

from collections import OrderedDict
from typing import Final

from ports.cache import Cache, check_entry
from ports.clock import Clock

_OVERHEAD: Final = 256  # bytes that an entry costs besides its key and value, roughly


class MemoryCache(Cache):
    """Keeps the entries that were used last, within a number of entries and of bytes."""

    def __init__(self, clock: Clock, *, most_entries: int = 10_000, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._clock = clock
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()  # the least recently used first
        self._stopped = False

    @property
    def trouble(self) -> str | None:
        return "the cache is stopped" if self._stopped else None

    async def start(self) -> None:
        self._stopped = False

    async def stop(self) -> None:
        self._stopped = True
        self._entries.clear()
        self._bytes = 0

    async def get(self, key: str) -> bytes | None:
        check_entry(key)
        entry = self._entries.get(key)
        if entry is None:
            return None
        dies_at, value = entry
        if dies_at <= self._clock.monotonic():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        check_entry(key, value, seconds)
        self._forget(key)
        if self._stopped or _size(key, value) > self._most_bytes:
            return  # one that large would push out everything else, and then itself
        self._entries[key] = (self._clock.monotonic() + seconds, value)
        self._bytes += _size(key, value)
        while len(self._entries) > self._most_entries or self._bytes > self._most_bytes:
            self._forget(next(iter(self._entries)))

    async def drop(self, key: str) -> None:
        check_entry(key)
        self._forget(key)

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= _size(key, entry[1])


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + _OVERHEAD
