"""Caches that lie: each is an honest one that breaks one promise."""

import math

from ports.cache import Cache


class LyingCache(Cache):
    """Passes everything on to an honest cache; each liar changes one thing."""

    def __init__(self, honest: Cache) -> None:
        self.honest = honest

    async def get(self, key: str) -> bytes | None:
        return await self.honest.get(key)

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        await self.honest.put(key, value, seconds=seconds)

    async def drop(self, key: str) -> None:
        await self.honest.drop(key)


class TakesValuesForText(LyingCache):
    """Decodes and encodes what it should not look at."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        await super().put(key, value.decode("utf-8", "replace").encode()[:500_000], seconds=seconds)


class TakesEmptyForNothing(LyingCache):
    """Does not tell an empty value from none."""

    async def get(self, key: str) -> bytes | None:
        return await super().get(key) or None


class KeepsTheFirst(LyingCache):
    """Adds, and does not replace."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        if await self.get(key) is None:
            await super().put(key, value, seconds=seconds)


class KeepsTheFirstTime(LyingCache):
    """Replaces the value, and not the time that it has to live."""

    def __init__(self, honest: Cache) -> None:
        super().__init__(honest)
        self.seconds: dict[str, float] = {}

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        await super().put(key, value, seconds=self.seconds.setdefault(key, seconds))


class FoldsKeys(LyingCache):
    """Takes upper and lower case for the same."""

    async def get(self, key: str) -> bytes | None:
        return await super().get(key.lower())

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        await super().put(key.lower(), value, seconds=seconds)


class NeverForgets(LyingCache):
    """Has no clock."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        await super().put(key, value, seconds=seconds * 1_000)


class RoundsUp(LyingCache):
    """Has whole seconds, and a few more."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        await super().put(key, value, seconds=math.ceil(seconds) + 2 if seconds < 1 else seconds)


class NeverDrops(LyingCache):
    """Lets time do it."""

    async def drop(self, key: str) -> None:
        await self.get(key)


class TakesAnyKey(LyingCache):
    """Mends the key instead of refusing it."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        mended = "".join(character for character in key if character.isascii() and character.isalnum())
        await super().put(mended[:200] or "empty", value, seconds=seconds)


class CutsOffWhatIsTooLarge(LyingCache):
    """Instead of refusing it."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        await super().put(key, value[: 512 * 1024], seconds=seconds)


class TakesNothingForEver(LyingCache):
    """No time to live is for ever, as with a server that takes 0 for that."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        await super().put(key, value, seconds=seconds if seconds > 0 else 1e9)
