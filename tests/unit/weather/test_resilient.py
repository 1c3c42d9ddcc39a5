"""What stands around a provider: memory, one question at a time, new attempts, a deadline."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from adapters.cache.memory import MemoryCache
from adapters.weather.resilient import ResilientWeather
from adapters.weather.sample import SampleWeather
from domain.model.errors import CityNotFound, WeatherNotConfigured
from domain.model.weather import City, Weather
from ports.cache import Cache
from ports.errors import Rejected, Unavailable
from ports.outside import OutsideCounts
from ports.weather import WeatherProvider
from tests.clock import ManualClock
from tests.contracts.weather import WeatherContract

BERLIN = City("Berlin")


class ScriptedWeather(WeatherProvider):
    """Takes so many seconds for an answer and raises the given errors first, one a call."""

    def __init__(self, clock: ManualClock, *errors: Exception, seconds: float = 0) -> None:
        self.calls: list[float] = []
        self._clock = clock
        self._errors = list(errors)
        self._seconds = seconds
        self._sample = SampleWeather(clock=clock)

    async def current(self, city: City) -> Weather:
        self.calls.append(self._clock.monotonic())
        await self._clock.sleep(self._seconds)
        if self._errors:
            raise self._errors.pop(0)
        return await self._sample.current(city)


class SlowCache(Cache):
    """A cache on the other side of a network."""

    def __init__(self, clock: ManualClock, inner: Cache) -> None:
        self.puts = 0
        self._clock = clock
        self._inner = inner

    async def get(self, key: str) -> bytes | None:
        await self._clock.sleep(0.01)
        found = await self._inner.get(key)
        await self._clock.sleep(0.01)
        return found

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        self.puts += 1
        await self._clock.sleep(0.01)
        await self._inner.put(key, value, seconds=seconds)

    async def drop(self, key: str) -> None:
        await self._inner.drop(key)


class PoisonedCache(Cache):
    """Gives the same bytes for every key, whatever is put into it, and keeps the keys."""

    def __init__(self, poison: bytes) -> None:
        self.keys: list[str] = []
        self._poison = poison

    async def get(self, key: str) -> bytes | None:
        self.keys.append(key)
        return self._poison

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        pass

    async def drop(self, key: str) -> None:
        pass


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> MemoryCache:
    return MemoryCache(clock)


def resilient(
    provider: WeatherProvider,
    clock: ManualClock,
    cache: Cache,
    *,
    name: str = "sample",
    counts: OutsideCounts | None = None,
    stale_seconds: float = 3600,
) -> ResilientWeather:
    return ResilientWeather(
        {name: provider},
        cache=cache,
        clock=clock,
        counts=counts,
        fresh_seconds=600,
        stale_seconds=stale_seconds,
        deadline_seconds=8,
        attempts=3,
    )


class TestResilientWeather(WeatherContract):
    @pytest.fixture
    def weather(self, clock: ManualClock, cache: MemoryCache) -> ResilientWeather:
        return resilient(SampleWeather(clock=clock), clock, cache)


# Memory


async def test_a_fresh_answer_is_given_again_as_it_was(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock)
    weather = resilient(provider, clock, cache)
    first = await weather.current(BERLIN)

    await clock.advance(599)
    second = await weather.current(BERLIN)

    assert second == first
    assert second.retrieved_at == first.retrieved_at
    assert len(provider.calls) == 1


async def test_an_answer_that_is_no_longer_fresh_is_asked_for_again(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock)
    weather = resilient(provider, clock, cache)
    await weather.current(BERLIN)

    await clock.advance(600)
    second = await weather.current(BERLIN)

    assert len(provider.calls) == 2
    assert second.retrieved_at == clock.now()


async def test_spellings_of_one_city_share_one_answer(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock)
    weather = resilient(provider, clock, cache)

    for name in ("Berlin", "BERLIN", "  berlin "):
        await weather.current(City(name))

    assert len(provider.calls) == 1


async def test_providers_that_share_a_cache_do_not_share_answers(clock: ManualClock, cache: MemoryCache) -> None:
    other = ScriptedWeather(clock)
    await resilient(SampleWeather(clock=clock), clock, cache, name="sample").current(BERLIN)

    await resilient(other, clock, cache, name="openweather").current(BERLIN)

    assert len(other.calls) == 1


async def test_a_cache_is_shared_by_processes(clock: ManualClock, cache: MemoryCache) -> None:
    other = ScriptedWeather(clock)
    first = await resilient(SampleWeather(clock=clock), clock, cache).current(BERLIN)

    second = await resilient(other, clock, cache).current(BERLIN)

    assert second == first
    assert other.calls == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda _: b"\x80\x04\x95",
        lambda _: b"null",
        lambda _: b"[]",
        lambda _: b'{"weather": {}}',
        lambda entry: entry[:-5],
        lambda entry: entry.replace(b'"temperature_c":21.9', b'"temperature_c":"21.9"'),
        lambda entry: entry.replace(b'"temperature_c":21.9', b'"temperature_c":NaN'),
        lambda entry: entry.replace(b'"humidity_percent":59', b'"humidity_percent":59.5'),
        lambda entry: entry.replace(b'"city":"Berlin",', b""),
        lambda entry: entry.replace(b'"city":"Berlin"', b'"city":""'),
        lambda entry: entry.replace(b'"city":"Berlin"', b'"city":"Ber\\u001blin"'),
        lambda entry: entry.replace(b'"city":"Berlin"', b'"city":"' + b"x" * 201 + b'"'),
        lambda entry: entry.replace(b'"country":"ZZ"', b'"country":"nowhere at all"'),
        lambda entry: entry.replace(b'"temperature_c":21.9', b'"temperature_c":1e308'),
        lambda entry: entry.replace(b'"humidity_percent":59', b'"humidity_percent":-5'),
        lambda entry: entry.replace(b'"stale":false', b'"stale":true'),
        lambda entry: entry + b" " * 9_000,
        lambda entry: entry.replace(b'"stale":false', b'"stale":false,"admin":true'),
        lambda entry: entry.replace(b'12:00:00Z"', b'12:00:00"'),
        lambda entry: entry.replace(b'12:00:00Z"', b'12:00:00-14:00"'),
        lambda entry: entry.replace(b"05:00:00Z", b"05:00:00+01:00"),
        lambda entry: entry.replace(b'"Berlin"', b'"\\ud800"'),
    ],
)
async def test_a_poisoned_entry_counts_as_none(
    clock: ManualClock, cache: MemoryCache, spoil: Callable[[bytes], bytes]
) -> None:
    spy = PoisonedCache(b"")
    await resilient(SampleWeather(clock=clock), clock, spy).current(BERLIN)
    honest = resilient(SampleWeather(clock=clock), clock, cache)
    expected = await honest.current(BERLIN)
    entry = await cache.get(spy.keys[0])
    assert entry is not None
    provider = ScriptedWeather(clock)

    poison = spoil(entry)
    now = await resilient(provider, clock, PoisonedCache(poison)).current(BERLIN)

    assert poison != entry
    assert len(provider.calls) == 1
    assert now == expected


async def test_that_a_city_is_unknown_is_remembered_for_a_minute(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock, CityNotFound())
    weather = resilient(provider, clock, cache)

    for seconds in (0, 30, 29):
        await clock.advance(seconds)
        with pytest.raises(CityNotFound):
            await weather.current(BERLIN)
    await clock.advance(1)
    now = await weather.current(BERLIN)

    assert now.city == "Berlin"
    assert len(provider.calls) == 2


async def test_every_field_survives_the_memory(clock: ManualClock, cache: MemoryCache) -> None:
    class Odd(WeatherProvider):
        async def current(self, city: City) -> Weather:
            sample = await SampleWeather(clock=clock).current(city)
            return replace(sample, city="Zürich\u200d", country="CH", temperature_c=-0.1, pressure_hpa=1e3, stale=True)

    weather = resilient(Odd(), clock, cache)

    assert await weather.current(BERLIN) == await weather.current(BERLIN)


async def test_an_answer_from_memory_makes_no_task_and_never_waits(clock: ManualClock, cache: MemoryCache) -> None:
    weather = resilient(SampleWeather(clock=clock), clock, cache)
    await weather.current(BERLIN)

    answering = weather.current(BERLIN)

    with pytest.raises(StopIteration) as ended:  # it ran to its end without giving way once
        answering.send(None)
    assert isinstance(ended.value.value, Weather)


# One question at a time


async def test_a_thousand_waiting_callers_make_one_call(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock, seconds=1)
    slow = SlowCache(clock, cache)
    weather = resilient(provider, clock, slow)

    callers = [asyncio.create_task(weather.current(BERLIN)) for _ in range(1000)]
    await clock.advance(2)

    assert len({caller.result() for caller in callers}) == 1
    assert len(provider.calls) == 1
    assert slow.puts == 1


@pytest.mark.parametrize("milliseconds", range(1, 80, 3))
async def test_a_caller_whose_look_into_the_cache_was_slow_finds_what_others_have_left(
    clock: ManualClock, cache: MemoryCache, milliseconds: int
) -> None:
    """At whatever moment it comes: it may look just before the answer is stored, and be told so just after."""
    provider = ScriptedWeather(clock)
    weather = resilient(provider, clock, SlowCache(clock, cache))

    first = asyncio.create_task(weather.current(BERLIN))
    await clock.advance(milliseconds / 1000)
    second = asyncio.create_task(weather.current(BERLIN))
    await clock.advance(1)

    assert second.result() == first.result()
    assert len(provider.calls) == 1


async def test_different_cities_are_asked_for_at_once(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock, seconds=1)
    weather = resilient(provider, clock, cache)

    callers = [asyncio.create_task(weather.current(City(f"City {number}"))) for number in range(20)]
    await clock.advance(1)

    assert all(caller.done() for caller in callers)
    assert len(provider.calls) == 20


async def test_a_caller_that_is_cancelled_does_not_fail_the_others(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock, seconds=1)
    weather = resilient(provider, clock, cache)
    first, second, third = (asyncio.create_task(weather.current(BERLIN)) for _ in range(3))
    await clock.settle()

    first.cancel()
    await clock.advance(1)

    assert first.cancelled()
    assert second.result() == third.result()
    assert len(provider.calls) == 1


async def test_an_answer_is_remembered_even_when_every_caller_has_gone(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock, seconds=1)
    weather = resilient(provider, clock, cache)
    caller = asyncio.create_task(weather.current(BERLIN))
    await clock.settle()

    caller.cancel()
    await clock.advance(1)
    await weather.current(BERLIN)

    assert len(provider.calls) == 1


async def test_an_error_reaches_every_caller_and_the_next_one_asks_again(
    clock: ManualClock, cache: MemoryCache
) -> None:
    provider = ScriptedWeather(clock, Rejected("no"), seconds=1)
    weather = resilient(provider, clock, cache)

    callers = [asyncio.create_task(weather.current(BERLIN)) for _ in range(10)]
    await clock.advance(1)
    errors = [caller.exception() for caller in callers]
    now = await clock.run(weather.current(BERLIN))

    assert all(isinstance(error, Rejected) for error in errors)
    assert now.city == "Berlin"


async def test_stopping_ends_the_questions_on_their_way(clock: ManualClock, cache: MemoryCache) -> None:
    weather = resilient(ScriptedWeather(clock, seconds=1), clock, cache)
    caller = asyncio.create_task(weather.current(BERLIN))
    await clock.settle()

    await weather.stop()
    await clock.settle()

    assert isinstance(caller.exception(), Unavailable)
    assert clock.sleepers == 0


# New attempts, and the deadline


async def test_what_is_unavailable_is_tried_again(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock, Unavailable("down"), Unavailable("down"))

    now = await clock.run(resilient(provider, clock, cache).current(BERLIN))

    assert now.city == "Berlin"
    assert len(provider.calls) == 3


async def test_attempts_are_bounded_and_the_last_error_is_told(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock, *(Unavailable(f"attempt {number}") for number in range(1, 10)))

    with pytest.raises(Unavailable, match="attempt 3"):
        await clock.run(resilient(provider, clock, cache).current(BERLIN))

    assert len(provider.calls) == 3


@pytest.mark.parametrize("error", [Rejected("no"), CityNotFound(), WeatherNotConfigured(), KeyError("a bug")])
async def test_nothing_else_is_tried_again(clock: ManualClock, cache: MemoryCache, error: Exception) -> None:
    provider = ScriptedWeather(clock, error)

    with pytest.raises(type(error)):
        await clock.run(resilient(provider, clock, cache).current(BERLIN))

    assert len(provider.calls) == 1


async def test_pauses_are_short_and_differ(clock: ManualClock, cache: MemoryCache) -> None:
    pauses: set[float] = set()

    for number in range(20):
        provider = ScriptedWeather(clock, Unavailable("down"))
        await clock.run(resilient(provider, clock, cache).current(City(f"City {number}")))
        pauses.add(provider.calls[1] - provider.calls[0])

    assert len(pauses) > 10
    assert max(pauses) <= 0.5


async def test_a_provider_that_says_when_to_come_back_is_not_asked_before(
    clock: ManualClock, cache: MemoryCache
) -> None:
    provider = ScriptedWeather(clock, Unavailable("busy", retry_after=3))

    await clock.run(resilient(provider, clock, cache).current(BERLIN))

    assert 3 <= provider.calls[1] - provider.calls[0] < 4


async def test_a_provider_that_says_to_come_back_after_the_deadline_is_not_waited_for(
    clock: ManualClock, cache: MemoryCache
) -> None:
    provider = ScriptedWeather(clock, Unavailable("busy", retry_after=30))

    with pytest.raises(Unavailable, match="busy") as raised:
        await clock.run(resilient(provider, clock, cache).current(BERLIN))

    assert raised.value.retry_after == 30
    assert clock.monotonic() == 0


async def test_a_provider_that_never_answers_is_unavailable_at_the_deadline(
    clock: ManualClock, cache: MemoryCache
) -> None:
    provider = ScriptedWeather(clock, seconds=3600)

    with pytest.raises(Unavailable, match="8 seconds"):
        await clock.run(resilient(provider, clock, cache).current(BERLIN))

    assert clock.monotonic() == 8
    await clock.settle()
    assert clock.sleepers == 0


async def test_the_deadline_is_for_all_attempts_together(clock: ManualClock, cache: MemoryCache) -> None:
    provider = ScriptedWeather(clock, *(Unavailable("down") for _ in range(9)), seconds=3.9)

    with pytest.raises(Unavailable):
        await clock.run(resilient(provider, clock, cache).current(BERLIN))

    assert clock.monotonic() <= 8
    assert len(provider.calls) >= 2


async def test_a_caller_that_joins_late_waits_no_longer_than_the_first(clock: ManualClock, cache: MemoryCache) -> None:
    weather = resilient(ScriptedWeather(clock, seconds=3600), clock, cache)
    first = asyncio.create_task(weather.current(BERLIN))
    await clock.advance(7)

    late = asyncio.create_task(weather.current(BERLIN))
    await clock.advance(1)

    assert isinstance(first.exception(), Unavailable)
    assert isinstance(late.exception(), Unavailable)
