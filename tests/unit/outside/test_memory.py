"""What is remembered, and what counts as nothing."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from adapters.cache.memory import MemoryCache
from adapters.outside.memory import Memory
from ports.cache import VALUE_MOST, Cache
from tests.clock import ManualClock
from tests.unit.outside.scripted import NoSuchWord, Said, SaidCodec


class OneEntry(Cache):
    """Holds one value, under whatever key, and keeps the keys."""

    def __init__(self, value: bytes | None = None) -> None:
        self.value = value
        self.keys: list[str] = []
        self.seconds = 0.0

    async def get(self, key: str) -> bytes | None:
        self.keys.append(key)
        return self.value

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        self.keys.append(key)
        self.value = value
        self.seconds = seconds

    async def drop(self, key: str) -> None:
        self.keys.append(key)
        self.value = None


class SlowCache(OneEntry):
    """Takes a second for each look."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    async def get(self, key: str) -> bytes | None:
        value = await super().get(key)
        await self._clock.sleep(1)
        return value


class CountingCodec(SaidCodec):
    """Knows how often it has read."""

    def __init__(self) -> None:
        self.reads = 0

    def decode(self, stored: bytes) -> Said:
        self.reads += 1
        return super().decode(stored)


def memory_in(cache: Cache, clock: ManualClock, codec: SaidCodec | None = None) -> Memory[str, Said]:
    codec = SaidCodec() if codec is None else codec
    return Memory(cache, codec, name="words", clock=clock, seconds=100, unknown_seconds=60)


async def test_what_was_remembered_comes_back_with_its_age(clock: ManualClock) -> None:
    memory = memory_in(MemoryCache(clock), clock)
    said = Said("hour", clock.now())
    await memory.remember("hour", said)
    await clock.advance(99)

    found = await memory.recall("HOUR")

    assert found is not None
    entry, age = found
    assert (entry.answer, age) == (said, 99)
    assert entry.stale == Said("hour", said.asked_at, stale=True)


@pytest.mark.parametrize("ahead", [-100, 61, 3600])
async def test_an_answer_that_is_too_old_or_from_the_future_counts_as_none(clock: ManualClock, ahead: float) -> None:
    """Its own time decides, whatever the cache says: another process, or somebody else, may have put it there."""
    memory = memory_in(OneEntry(), clock)

    await memory.remember("hour", Said("hour", clock.now() + timedelta(seconds=ahead)))

    assert await memory.recall("hour") is None


async def test_a_clock_that_is_a_little_ahead_does_no_harm(clock: ManualClock) -> None:
    memory = memory_in(OneEntry(), clock)

    await memory.remember("hour", Said("hour", clock.now() + timedelta(seconds=30)))

    assert await memory.recall("hour") is not None


async def test_that_there_is_no_such_thing_is_remembered_in_the_place_of_an_answer(clock: ManualClock) -> None:
    cache = OneEntry()
    memory = memory_in(cache, clock)
    await memory.remember("hour", Said("hour", clock.now()))

    await memory.remember_unknown("hour")

    with pytest.raises(NoSuchWord):
        await memory.recall("hour")
    assert cache.seconds == 60


@pytest.mark.parametrize("poison", [b"", b"unknown ", b"\x80\x04", b"hour", b"hour\nyesterday", b"a\nb\nc", b"\n" * 9])
async def test_what_we_would_not_have_written_counts_as_nothing(clock: ManualClock, poison: bytes) -> None:
    assert await memory_in(OneEntry(poison), clock).recall("hour") is None


@pytest.mark.parametrize("change", [lambda codec: setattr(codec, "version", 2)])
async def test_another_version_is_not_even_looked_at(clock: ManualClock, change: Callable[[SaidCodec], None]) -> None:
    cache = MemoryCache(clock)
    await memory_in(cache, clock).remember("hour", Said("hour", clock.now()))
    newer = SaidCodec()
    change(newer)

    assert await memory_in(cache, clock, newer).recall("hour") is None


@pytest.mark.parametrize("question", ["x" * 1000, "東京", "a b\r\nc", "\ud800".encode("utf-8", "replace").decode()])
async def test_any_question_makes_a_key_that_caches_accept_and_that_tells_nothing(
    clock: ManualClock, question: str
) -> None:
    cache = OneEntry()

    await memory_in(cache, clock).recall(question)

    (key,) = cache.keys
    assert len(key) < 60
    assert key.isascii()
    assert key.startswith("words:1:")


async def test_an_answer_too_large_for_a_cache_is_not_kept(clock: ManualClock) -> None:
    cache = OneEntry()

    await memory_in(cache, clock).remember("hour", Said("x" * VALUE_MOST, clock.now()))

    assert cache.value is None


async def test_the_same_bytes_are_read_once(clock: ManualClock) -> None:
    codec = CountingCodec()
    cache = OneEntry()
    await memory_in(cache, clock).remember("hour", Said("hour", clock.now()))
    memory = memory_in(cache, clock, codec)

    for _ in range(10):
        await memory.recall("hour")
    assert codec.reads == 1
    assert cache.value is not None
    cache.value = bytes(bytearray(cache.value).replace(b"hour", b"HOUR"))  # as another process would have written it
    found = await memory.recall("hour")

    assert codec.reads == 2
    assert found is not None
    assert found[0].answer.words == "HOUR"


async def test_only_so_many_are_kept_as_they_were_read(clock: ManualClock) -> None:
    memory = memory_in(MemoryCache(clock), clock)

    for number in range(5000):
        await memory.remember(str(number), Said("hour", clock.now()))
        await memory.recall(str(number))

    assert len(memory._read) == 4096


# What this process still has when the cache has nothing


async def test_what_was_put_there_or_read_there_last_is_known_without_the_cache(clock: ManualClock) -> None:
    cache = OneEntry()
    writer, reader = memory_in(cache, clock), memory_in(cache, clock)
    said = Said("hour", clock.now())

    await writer.remember("hour", said)
    assert reader.last("hour") is None
    await reader.recall("hour")
    cache.value = None

    for memory in (writer, reader):
        last = memory.last("HOUR")
        assert last is not None
        assert (last.answer, last.stale) == (said, Said("hour", said.asked_at, stale=True))


@pytest.mark.parametrize(("seconds", "known"), [(99, True), (100, False)])
async def test_it_is_known_no_longer_than_in_the_cache(clock: ManualClock, seconds: float, known: bool) -> None:
    memory = memory_in(OneEntry(), clock)
    await memory.remember("hour", Said("hour", clock.now()))

    await clock.advance(seconds)

    assert (memory.last("hour") is not None) is known


async def test_what_ceased_to_exist_is_no_longer_known(clock: ManualClock) -> None:
    """Whether it was this process that heard of it, or another one that wrote it down."""
    cache = OneEntry()
    one, other = memory_in(cache, clock), memory_in(cache, clock)
    await one.remember("hour", Said("hour", clock.now()))
    await other.recall("hour")

    await one.remember_unknown("hour")
    with pytest.raises(NoSuchWord):
        await other.recall("hour")

    assert one.last("hour") is None
    assert other.last("hour") is None


# One look for all


async def test_however_many_look_at_the_same_time_the_cache_is_asked_once(clock: ManualClock) -> None:
    cache = SlowCache(clock)
    memory = memory_in(cache, clock)
    await memory.remember("hour", Said("hour", clock.now()))
    cache.keys.clear()

    looks = [asyncio.create_task(memory.recall("hour")) for _ in range(1000)]
    await clock.advance(1)

    assert all(look.result() is not None for look in looks)
    assert len(cache.keys) == 1
    await clock.run(memory.recall("hour"))
    assert len(cache.keys) == 2  # whoever comes later looks anew


async def test_whoever_leaves_fails_nobody_else(clock: ManualClock) -> None:
    """Be it the one who looks, or one who waits for that."""
    cache = SlowCache(clock)
    memory = memory_in(cache, clock)
    await memory.remember("hour", Said("hour", clock.now()))
    looks = [asyncio.create_task(memory.recall("hour")) for _ in range(10)]
    await clock.advance(0.5)

    for left in (0, 5, 1):
        looks[left].cancel()
        await clock.settle()
    await clock.advance(1)

    assert [look.cancelled() for look in looks] == [number in {0, 1, 5} for number in range(10)]
    assert all(look.result() is not None for look in looks if not look.cancelled())
    assert memory._fetches == {}
    assert clock.sleepers == 0


async def test_a_mistake_of_the_cache_is_seen_by_all(clock: ManualClock) -> None:
    class Broken(SlowCache):
        async def get(self, key: str) -> bytes | None:
            await super().get(key)
            raise ValueError("a bug")

    memory = memory_in(Broken(clock), clock)

    looks = [asyncio.create_task(memory.recall("hour")) for _ in range(3)]
    await clock.advance(3)

    assert all(isinstance(look.exception(), ValueError) for look in looks)
    assert memory._fetches == {}


async def test_what_was_put_meanwhile_is_found_by_whoever_looks_then(clock: ManualClock) -> None:
    """A look that began before does not hide it."""
    memory = memory_in(SlowCache(clock), clock)
    early = asyncio.create_task(memory.recall("hour"))
    await clock.advance(0.5)
    await memory.remember("hour", Said("hour", clock.now()))

    late = asyncio.create_task(memory.recall("hour"))
    await clock.advance(1)

    assert early.result() is None
    assert late.result() is not None
    assert memory._fetches == {}
