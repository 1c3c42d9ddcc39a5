"""A cache in Redis, which all processes share."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from adapters.redis_client import RedisClient
from ports.cache import VALUE_MOST, Cache, check_entry
from ports.errors import PortError

# Before each value: tells what we wrote from what somebody else did, and an empty value from none.
_MARK: Final = b"1"
_SECONDS_MOST: Final = 10 * 365 * 86400


class RedisCache(Cache):
    """Keeps entries under ``prefix`` in one Redis; while it is away nothing is remembered.

    ``client`` is started and stopped here, though others may use it as well.
    """

    def __init__(self, client: RedisClient, *, prefix: str) -> None:
        self._client = client
        self._prefix = prefix.encode("ascii")

    @property
    def trouble(self) -> str | None:
        return self._client.trouble

    @property
    def pools(self) -> Mapping[str, tuple[int, int]]:
        return self._client.pools

    async def start(self) -> None:
        await self._client.start()

    async def stop(self) -> None:
        await self._client.stop()

    async def get(self, key: str) -> bytes | None:
        check_entry(key)
        # Not GET: whatever somebody else may have put there, no more than a value of ours is read.
        length = len(_MARK) + VALUE_MOST
        try:
            found = await self._client.say("GETRANGE", self._key(key), 0, length, kind=bytes, what="read")
        except PortError:
            return None
        if found is None or not found.startswith(_MARK) or len(found) > length:
            return None
        return found[len(_MARK) :]

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        check_entry(key, value, seconds)
        milliseconds = math.ceil(min(seconds, _SECONDS_MOST) * 1000)
        with suppress(PortError):  # which is in `trouble`, and was logged
            await self._client.say("SET", self._key(key), _MARK + value, "PX", milliseconds, kind=bytes, what="write")

    async def drop(self, key: str) -> None:
        check_entry(key)
        with suppress(PortError):
            await self._client.say("DEL", self._key(key), kind=int, what="delete")

    def _key(self, key: str) -> bytes:
        return self._prefix + key.encode("ascii")
