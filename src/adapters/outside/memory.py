"""The answers of an outside API in a cache."""

import asyncio
import hashlib
from collections import OrderedDict
from functools import lru_cache
from typing import Final, Generic

from adapters.outside.ask import A, Q
from adapters.outside.codec import Codec
from ports.cache import VALUE_MOST, Cache
from ports.clock import Clock

_UNKNOWN: Final = b"unknown"  # stored in place of an answer when there is no such thing
_AHEAD_MOST: Final = 60.0  # seconds by which the clock of another process may be ahead of ours
_READ_MOST: Final = 4096  # entries that are kept as they were read


class Entry(Generic[A]):
    """One remembered answer, ready to be given, as it is and as a stale one."""

    __slots__ = ("answer", "asked_at", "stale", "stored")

    def __init__(self, stored: bytes, answer: A, stale: A, asked_at: float) -> None:
        self.stored = stored
        self.answer = answer
        self.stale = stale
        self.asked_at = asked_at  # in seconds since 1970


class Memory(Generic[Q, A]):
    """Looks answers up in a cache and puts them there.

    ``name`` tells the answers from others in a shared cache. An answer is kept for ``seconds`` after it was asked for,
    and that there is no such thing for ``unknown_seconds``. Whatever is stored under a key and is not what we would
    have written counts as nothing.
    """

    def __init__(
        self,
        cache: Cache,
        codec: Codec[Q, A],
        *,
        name: str,
        clock: Clock,
        seconds: float,
        unknown_seconds: float,
    ) -> None:
        self._cache = cache
        self._codec = codec
        self._clock = clock
        self._prefix = f"{name}:{codec.version}:"
        self._seconds = seconds
        self._unknown_seconds = unknown_seconds
        # To read an entry costs several times what it costs to fetch it: the last ones are kept beside their bytes.
        # They also answer when the cache does not.
        self._read: OrderedDict[str, Entry[A]] = OrderedDict()
        self._fetches: dict[str, asyncio.Future[bytes | None]] = {}

    async def recall(self, question: Q) -> tuple[Entry[A], float] | None:
        """What is remembered, and how many seconds ago it was asked for; None when there is nothing of use.

        Raises what the codec calls ``unknown`` when it is remembered that there is no such thing.
        """
        key = self._key(question)
        stored = await self._fetched(key)
        if stored is None:
            return None
        entry = self._read.get(key)
        if entry is None or entry.stored != stored:
            entry = self._entry(key, stored)
            if entry is None:
                return None
        return self._aged(entry)

    def last(self, question: Q) -> Entry[A] | None:
        """What this process has put there or read there last, unless it is too old: for when the cache has nothing."""
        entry = self._read.get(self._key(question))
        aged = None if entry is None else self._aged(entry)
        return None if aged is None else aged[0]

    async def remember(self, question: Q, answer: A) -> None:
        """Keep ``answer``."""
        stored = self._codec.encode(answer)
        if len(stored) <= VALUE_MOST:
            key = self._key(question)
            self._keep(key, stored, answer)
            await self._cache.put(key, stored, seconds=self._seconds)
            self._fetches.pop(key, None)  # it may have begun before

    async def remember_unknown(self, question: Q) -> None:
        """Keep in mind that there is no such thing."""
        key = self._key(question)
        self._read.pop(key, None)
        await self._cache.put(key, _UNKNOWN, seconds=self._unknown_seconds)
        self._fetches.pop(key, None)

    async def _fetched(self, key: str) -> bytes | None:
        """What the cache has; however many want it at the same time, one of them fetches it for all."""
        while (fetch := self._fetches.get(key)) is not None:
            await asyncio.wait({fetch})
            if not fetch.cancelled():
                return fetch.result()
        fetch = self._fetches[key] = asyncio.get_running_loop().create_future()
        try:
            stored = await self._cache.get(key)
            fetch.set_result(stored)
        finally:
            if self._fetches.get(key) is fetch:
                del self._fetches[key]
            fetch.cancel()  # whoever fetched it has gone without it: the next one does
        return stored

    def _key(self, question: Q) -> str:
        return self._prefix + _digest(self._codec.key(question))

    def _entry(self, key: str, stored: bytes) -> Entry[A] | None:
        if stored == _UNKNOWN:
            self._read.pop(key, None)
            raise self._codec.unknown
        try:
            answer = self._codec.decode(stored)
        except ValueError:
            return None
        return self._keep(key, stored, answer)

    def _keep(self, key: str, stored: bytes, answer: A) -> Entry[A]:
        entry = Entry(stored, answer, self._codec.stale(answer), self._codec.asked_at(answer).timestamp())
        self._read[key] = entry
        self._read.move_to_end(key)
        if len(self._read) > _READ_MOST:
            self._read.popitem(last=False)
        return entry

    def _aged(self, entry: Entry[A]) -> tuple[Entry[A], float] | None:
        age = self._clock.now().timestamp() - entry.asked_at
        return (entry, age) if -_AHEAD_MOST <= age < self._seconds else None


@lru_cache(maxsize=_READ_MOST)
def _digest(text: str) -> str:
    # Since a question may be longer than a key and of any script, and is nobody's business.
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
