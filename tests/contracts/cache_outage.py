"""What every cache promises when its server goes away and comes back.

A subclass of `CacheOutageContract` whose name starts with ``Test`` proves one adapter, with a server that is its own:
it defines the fixture ``cache``, started and empty, and fills `take_away` and `bring_back`. What the cache had may be
gone afterwards or not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest

from ports.cache import Cache


class CacheOutageContract:
    """All of it."""

    in_time: ClassVar[float] = 2.0
    """Seconds in which each call ends while nobody is there: the driver's bound, and room for a busy machine."""
    patience: ClassVar[float] = 20.0  # seconds until it has found its server again

    @pytest.fixture
    def cache(self) -> Cache:
        """Started and empty, on a server that runs."""
        raise NotImplementedError

    async def take_away(self, cache: Cache) -> None:
        """From now on nobody answers."""
        raise NotImplementedError(f"take the server of {cache} away")

    async def bring_back(self, cache: Cache) -> None:
        """The server can be reached again; the adapter has to find out by itself."""
        raise NotImplementedError(f"bring the server of {cache} back")

    async def a_moment(self) -> None:
        """Let others do something, before looking again."""
        await asyncio.sleep(0.02)

    async def becomes(self, wanted: Callable[[], Awaitable[bool]]) -> bool:
        """Whether it comes true within `patience`."""
        try:
            async with asyncio.timeout(self.patience):
                while not await wanted():
                    await self.a_moment()
        except TimeoutError:
            return False
        return True

    async def remembers(self, cache: Cache) -> bool:
        """Whether it does its work."""
        await cache.put("again", b"value", seconds=60)
        return await cache.get("again") == b"value"

    async def test_nothing_is_found_meanwhile_and_in_time(self, cache: Cache) -> None:
        await cache.put("key", b"value", seconds=60)
        await self.take_away(cache)

        async with asyncio.timeout(self.in_time):
            assert await cache.get("key") is None

    async def test_putting_meanwhile_ends_in_time(self, cache: Cache) -> None:
        await self.take_away(cache)

        async with asyncio.timeout(self.in_time):
            await cache.put("key", b"x" * 500_000, seconds=60)

    async def test_dropping_meanwhile_ends_in_time(self, cache: Cache) -> None:
        await self.take_away(cache)

        async with asyncio.timeout(self.in_time):
            await cache.drop("key")

    async def test_a_hundred_callers_meanwhile_end_in_time_altogether(self, cache: Cache) -> None:
        await self.take_away(cache)

        async with asyncio.timeout(self.in_time):
            found = await asyncio.gather(*(cache.get(f"key:{number}") for number in range(100)))

        assert found == [None] * 100

    async def test_not_each_of_those_who_come_meanwhile_waits(self, cache: Cache) -> None:
        await self.take_away(cache)
        await cache.get("key")

        async with asyncio.timeout(self.in_time):
            for _ in range(100):
                await cache.get("key")
                await cache.put("key", b"value", seconds=60)

    @pytest.mark.parametrize("key", ["", "two words"])
    async def test_a_key_outside_of_the_rules_is_refused_meanwhile_too(self, cache: Cache, key: str) -> None:
        await self.take_away(cache)

        with pytest.raises(ValueError, match="key"):
            await cache.get(key)
        with pytest.raises(ValueError, match="key"):
            await cache.put(key, b"value", seconds=60)

    async def test_it_says_so_while_it_is_away_and_not_longer(self, cache: Cache) -> None:
        async def is_in_trouble() -> bool:
            await cache.get("key")
            return bool(cache.trouble)

        await self.take_away(cache)
        assert await self.becomes(is_in_trouble)
        await self.bring_back(cache)

        assert await self.becomes(lambda: self.remembers(cache))
        assert cache.trouble is None

    async def test_it_works_again_by_itself(self, cache: Cache) -> None:
        await self.take_away(cache)
        await asyncio.gather(*(cache.get("key") for _ in range(30)))
        await self.bring_back(cache)

        assert await self.becomes(lambda: self.remembers(cache))

    async def test_it_works_again_after_an_outage_that_nobody_noticed(self, cache: Cache) -> None:
        await cache.put("key", b"value", seconds=60)
        await self.take_away(cache)
        await self.bring_back(cache)

        assert await self.becomes(lambda: self.remembers(cache))

    async def test_it_works_again_after_each_of_many_outages(self, cache: Cache) -> None:
        for _ in range(3):
            await self.take_away(cache)
            await cache.get("key")
            await self.bring_back(cache)

            assert await self.becomes(lambda: self.remembers(cache))

    async def test_it_starts_without_a_server_and_works_when_there_is_one(self, cache: Cache) -> None:
        await cache.stop()
        await self.take_away(cache)

        async with asyncio.timeout(self.in_time):
            await cache.start()
        await self.bring_back(cache)
        await cache.start()

        assert await self.becomes(lambda: self.remembers(cache))

    async def test_stopping_meanwhile_ends_in_time(self, cache: Cache) -> None:
        await self.take_away(cache)
        waiting = [asyncio.create_task(cache.get("key")) for _ in range(20)]
        await asyncio.sleep(0)

        async with asyncio.timeout(self.in_time):
            await cache.stop()

        async with asyncio.timeout(self.in_time):
            found = await asyncio.gather(*waiting)
            found.append(await cache.get("key"))
        assert set(found) == {None}

    async def test_nobody_gets_what_was_put_under_another_key(self, cache: Cache) -> None:
        """Also of those whose question was on its way when the server went, and of those who left."""
        values = {f"key:{number}": f"value:{number}".encode() * 2000 for number in range(60)}
        for key, value in values.items():
            await cache.put(key, value, seconds=60)
        asking = {key: asyncio.create_task(cache.get(key)) for key in values}
        await asyncio.sleep(0)
        await self.take_away(cache)
        for leaving in list(asking.values())[::3]:
            leaving.cancel()
        found = dict(zip(values, await asyncio.gather(*asking.values(), return_exceptions=True), strict=True))
        await self.bring_back(cache)
        assert await self.becomes(lambda: self.remembers(cache))

        for key, value in values.items():
            assert found[key] in {None, value} or isinstance(found[key], asyncio.CancelledError)
            assert await cache.get(key) in {None, value}

    async def test_an_outage_is_told_once_and_not_by_each_request(self, cache: Cache) -> None:
        with warnings_logged() as logged:
            await self.take_away(cache)
            await asyncio.gather(*(cache.get("key") for _ in range(50)))
            for _ in range(20):
                await cache.put("key", b"value", seconds=60)

        assert len(logged) <= 1


@contextmanager
def warnings_logged() -> Iterator[list[str]]:
    """What our own loggers warn of inside."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, logger = Handler(logging.WARNING), logging.getLogger("crossdock")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
