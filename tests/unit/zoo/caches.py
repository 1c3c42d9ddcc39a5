"""Caches that lie: each is an honest one that breaks one promise."""

import asyncio
import logging
import math

from ports.cache import Cache
from tests.unit.zoo.judge import LibraryError


class LyingCache(Cache):
    """Passes everything on to an honest cache; each liar changes one thing."""

    def __init__(self, honest: Cache) -> None:
        self.honest = honest

    @property
    def trouble(self) -> str | None:
        return self.honest.trouble

    async def start(self) -> None:
        await self.honest.start()

    async def stop(self) -> None:
        await self.honest.stop()

    async def crash(self) -> None:
        """Its server goes away."""
        await self.honest.stop()

    async def recover(self) -> None:
        """Its server comes back."""
        await self.honest.start()

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


class AnswersFromBefore(LyingCache):
    """Has one connection, and leaves on it the answer that a caller who left did not wait for."""

    def __init__(self, honest: Cache) -> None:
        super().__init__(honest)
        self.unread: list[bytes | None] = []

    async def get(self, key: str) -> bytes | None:
        self.unread.append(await super().get(key))
        await asyncio.sleep(0)
        return self.unread.pop(0)


class HasOnePlace(LyingCache):
    """Keeps one value, and gives it to whoever asks."""

    async def get(self, key: str) -> bytes | None:
        return await super().get("the-one" if await super().get(key) is not None else key)

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        await super().put(key, value, seconds=seconds)
        await super().put("the-one", value, seconds=seconds)


class TakesKeysForOptions(LyingCache):
    """Puts them into a command as they are."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        if key != "noreply":
            await super().put(key, value, seconds=seconds)


class TakesLongForAMoment(LyingCache):
    """As Memcached does with more than 30 days: since 1970, that is past."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        if seconds <= 30 * 86400:
            await super().put(key, value, seconds=seconds)


class OverflowsWhenForEver(LyingCache):
    """Makes a whole number of any time to live."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        if math.isinf(seconds):
            raise LibraryError("cannot convert float infinity to integer")
        await super().put(key, value, seconds=seconds)


class AlwaysComplains(LyingCache):
    """Is never well."""

    @property
    def trouble(self) -> str | None:
        return "something may be wrong"


# When the server is away


class RaisesWhenAway(LyingCache):
    """Lets the library's error through."""

    async def get(self, key: str) -> bytes | None:
        if self.honest.trouble:
            raise LibraryError("connection refused")
        return await super().get(key)


class RaisesWhenItCannotPut(LyingCache):
    """Lets the library's error through, when it writes."""

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        if self.honest.trouble:
            raise LibraryError("connection refused")
        await super().put(key, value, seconds=seconds)


class HangsWhenItDropsMeanwhile(LyingCache):
    """Waits for an answer that does not come."""

    async def drop(self, key: str) -> None:
        if self.honest.trouble:
            await asyncio.Event().wait()
        await super().drop(key)


class AsksOneAfterTheOther(LyingCache):
    """Lets each caller wait for the time-outs of those before."""

    def __init__(self, honest: Cache) -> None:
        super().__init__(honest)
        self.turn = asyncio.Lock()

    async def get(self, key: str) -> bytes | None:
        async with self.turn:
            if self.honest.trouble:
                await asyncio.sleep(0.1)
            return await super().get(key)


class LetsEachCallerWait(LyingCache):
    """Does not remember that nobody answered a moment ago."""

    async def get(self, key: str) -> bytes | None:
        if self.honest.trouble:
            await asyncio.sleep(0.1)
        return await super().get(key)


class ChecksNothingMeanwhile(LyingCache):
    """Finds nothing under any key, also under none."""

    async def get(self, key: str) -> bytes | None:
        return None if self.honest.trouble else await super().get(key)


class KeepsItToItself(LyingCache):
    """Never says that it is in trouble."""

    @property
    def trouble(self) -> str | None:
        return None


class NeverForgives(LyingCache):
    """Stays in trouble for ever."""

    said: str | None = None

    @property
    def trouble(self) -> str | None:
        self.said = self.said or self.honest.trouble
        return self.said


class NeverReconnects(LyingCache):
    """Is lost with the first connection, once it was noticed."""

    lost = False

    async def get(self, key: str) -> bytes | None:
        self.lost = self.lost or self.honest.trouble is not None
        found = await super().get(key)
        return None if self.lost else found


class KeepsItsFirstConnection(LyingCache):
    """Does not notice that it was closed."""

    crashed = False

    async def crash(self) -> None:
        self.crashed = True
        await super().crash()

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        if not self.crashed:
            await super().put(key, value, seconds=seconds)


class ReconnectsOnce(LyingCache):
    """Has a second connection, and no third."""

    crashes = 0

    async def crash(self) -> None:
        self.crashes += 1
        await super().crash()

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        if self.crashes < 2:
            await super().put(key, value, seconds=seconds)


class WantsItsServerAtTheStart(LyingCache):
    """Fails to start without it."""

    away = False

    async def crash(self) -> None:
        self.away = True
        await super().crash()

    async def recover(self) -> None:
        self.away = False
        await super().recover()

    async def start(self) -> None:
        if self.away:
            raise LibraryError("connection refused")
        await super().start()


class HangsInStop(LyingCache):
    """Takes leave of a server that does not answer."""

    async def stop(self) -> None:
        if self.honest.trouble:
            await asyncio.Event().wait()
        await super().stop()


class MixesUpWhatItHad(LyingCache):
    """Gives the values of others after an outage: what was on its way then comes now."""

    def __init__(self, honest: Cache) -> None:
        super().__init__(honest)
        self.had: dict[str, bytes] = {}
        self.mixed = False

    async def crash(self) -> None:
        self.mixed = True
        await super().crash()

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        self.had[key] = value
        await super().put(key, value, seconds=seconds)

    async def get(self, key: str) -> bytes | None:
        found = await super().get(key)
        if self.mixed and found is None and key in self.had:
            return next(value for other, value in self.had.items() if other != key)
        return found


class LogsEachRequest(LyingCache):
    """Fills the log while it is away."""

    async def get(self, key: str) -> bytes | None:
        if self.honest.trouble:
            logging.getLogger("crossdock.cache").warning("cannot read %s", key)
        return await super().get(key)
