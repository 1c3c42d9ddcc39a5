"""What every cache promises."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ports.cache import KEY_MOST, VALUE_MOST, Cache

PassTime = Callable[[float], Awaitable[None]]


class CacheContract:
    """Wants two fixtures: ``cache``, empty, and ``pass_time``, which returns once so many seconds have passed."""

    async def test_a_key_that_was_never_put_is_not_there(self, cache: Cache) -> None:
        assert await cache.get("never") is None

    @pytest.mark.parametrize("value", [b"", b"value", bytes(range(256)), b"\r\nEND\r\n", b"x" * VALUE_MOST])
    async def test_what_was_put_comes_back_byte_for_byte(self, cache: Cache, value: bytes) -> None:
        await cache.put("key", value, seconds=60)

        assert await cache.get("key") == value

    async def test_a_second_put_replaces_the_first(self, cache: Cache) -> None:
        await cache.put("key", b"first", seconds=60)
        await cache.put("key", b"second", seconds=60)

        assert await cache.get("key") == b"second"

    async def test_keys_do_not_meet(self, cache: Cache) -> None:
        await cache.put("key", b"lower", seconds=60)
        await cache.put("KEY", b"upper", seconds=60)
        await cache.put("key:1", b"longer", seconds=60)

        assert [await cache.get(key) for key in ("key", "KEY", "key:1")] == [b"lower", b"upper", b"longer"]

    async def test_what_was_dropped_is_gone(self, cache: Cache) -> None:
        await cache.put("key", b"value", seconds=60)

        await cache.drop("key")

        assert await cache.get("key") is None

    async def test_dropping_what_is_not_there_changes_nothing(self, cache: Cache) -> None:
        await cache.put("other", b"value", seconds=60)

        await cache.drop("key")

        assert await cache.get("other") == b"value"

    async def test_a_value_is_gone_after_its_time(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.put("short", b"value", seconds=1)
        await cache.put("long", b"value", seconds=60)

        await pass_time(2)

        assert await cache.get("short") is None
        assert await cache.get("long") == b"value"

    async def test_a_second_put_starts_the_time_anew(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.put("key", b"first", seconds=1)
        await cache.put("key", b"second", seconds=60)

        await pass_time(2)

        assert await cache.get("key") == b"second"

    async def test_a_fraction_of_a_second_is_a_time_to_live(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.put("key", b"value", seconds=0.5)
        await cache.put("shorter", b"value", seconds=0.001)
        await cache.put("shortest", b"value", seconds=1e-9)

        await pass_time(2)

        assert [await cache.get(key) for key in ("key", "shorter", "shortest")] == [None] * 3

    @pytest.mark.parametrize("seconds", [30 * 86400.0, 31 * 86400.0, 2_000_000_000.0, 1e30, float("inf")])
    async def test_a_very_long_time_to_live_is_one(self, cache: Cache, seconds: float) -> None:
        """Memcached takes more than 30 days for a moment since 1970, which is past."""
        await cache.put("key", b"value", seconds=seconds)

        assert await cache.get("key") == b"value"

    async def test_the_longest_key_is_a_key(self, cache: Cache) -> None:
        longest = "!" + "k" * (KEY_MOST - 2) + "~"

        await cache.put(longest, b"value", seconds=60)

        assert await cache.get(longest) == b"value"

    @pytest.mark.parametrize(
        "key", ["noreply", "0", "flush_all", "*1", "$6", "+OK", "END", "key%20", "{key}", "\\r\\n"]
    )
    async def test_a_key_is_never_taken_for_anything_else(self, cache: Cache, key: str) -> None:
        await cache.put("other", b"other", seconds=60)
        await cache.put(key, b"value", seconds=60)
        await cache.drop(key + "x")

        assert await cache.get(key) == b"value"
        assert await cache.get("other") == b"other"

    @pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "tab\t", "Köln", "nul\0", "k" * (KEY_MOST + 1)])
    async def test_a_key_outside_of_the_rules_is_refused_everywhere(self, cache: Cache, key: str) -> None:
        with pytest.raises(ValueError, match="key"):
            await cache.put(key, b"value", seconds=60)
        with pytest.raises(ValueError, match="key"):
            await cache.get(key)
        with pytest.raises(ValueError, match="key"):
            await cache.drop(key)

    async def test_a_value_that_is_too_large_is_refused(self, cache: Cache) -> None:
        with pytest.raises(ValueError, match="bytes"):
            await cache.put("key", b"x" * (VALUE_MOST + 1), seconds=60)

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
    async def test_a_time_to_live_of_nothing_is_refused(self, cache: Cache, seconds: float) -> None:
        with pytest.raises(ValueError, match="seconds"):
            await cache.put("key", b"value", seconds=seconds)

    async def test_many_may_use_it_at_once(self, cache: Cache) -> None:
        async def use(number: int) -> bytes | None:
            await cache.put(f"key:{number}", str(number).encode(), seconds=60)
            return await cache.get(f"key:{number}")

        found = await asyncio.gather(*(use(number) for number in range(200)))

        assert found == [str(number).encode() for number in range(200)]

    async def test_who_leaves_in_the_middle_leaves_the_others_their_answers(self, cache: Cache) -> None:
        """The known trap: a connection goes to the next one with the answer in it to somebody who has gone."""
        keys = [f"key:{number}" for number in range(40)]
        for key in keys:
            await cache.put(key, key.encode() * 1000, seconds=60)
        for turns in range(30):
            leaving = [asyncio.create_task(cache.get(key)) for key in keys[:20]]
            leaving += [asyncio.create_task(cache.put("left", b"x" * 100_000, seconds=60)) for _ in range(2)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)

            found = await asyncio.gather(*(cache.get(key) for key in keys))

            assert found == [key.encode() * 1000 for key in keys]

    async def test_it_says_that_all_is_well(self, cache: Cache) -> None:
        await cache.put("key", b"value", seconds=60)

        assert cache.trouble is None
