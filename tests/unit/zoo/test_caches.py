"""The contract of caches catches each liar, by a case that an honest cache passes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest

from adapters.cache.memory import MemoryCache
from ports.cache import Cache
from tests.clock import ManualClock
from tests.contracts.cache import CacheContract
from tests.unit.zoo import caches as zoo
from tests.unit.zoo.judge import HANG, Fixtures, case_of, failure

CAUGHT: dict[type[zoo.LyingCache], str] = {
    zoo.TakesValuesForText: "test_what_was_put_comes_back_byte_for_byte",
    zoo.TakesEmptyForNothing: "test_what_was_put_comes_back_byte_for_byte",
    zoo.KeepsTheFirst: "test_a_second_put_replaces_the_first",
    zoo.KeepsTheFirstTime: "test_a_second_put_starts_the_time_anew",
    zoo.FoldsKeys: "test_keys_do_not_meet",
    zoo.NeverForgets: "test_a_value_is_gone_after_its_time",
    zoo.RoundsUp: "test_a_fraction_of_a_second_is_a_time_to_live",
    zoo.NeverDrops: "test_what_was_dropped_is_gone",
    zoo.TakesAnyKey: "test_a_key_outside_of_the_rules_is_refused_everywhere",
    zoo.CutsOffWhatIsTooLarge: "test_a_value_that_is_too_large_is_refused",
    zoo.TakesNothingForEver: "test_a_time_to_live_of_nothing_is_refused",
}


@asynccontextmanager
async def stage(wrap: Callable[[Cache], Cache]) -> AsyncIterator[Fixtures]:
    clock = ManualClock()
    yield {"cache": wrap(MemoryCache(clock)), "pass_time": clock.advance}


@pytest.mark.parametrize(("liar", "name"), CAUGHT.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_liar_is_caught(liar: type[zoo.LyingCache], name: str) -> None:
    case = case_of(name, CacheContract())

    assert failure(case, partial(stage, liar), seconds=HANG), f"{liar.__name__} passes {name}"


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_an_honest_cache_passes_what_a_liar_fails(name: str) -> None:
    def honest() -> AbstractAsyncContextManager[Fixtures]:
        return stage(lambda cache: cache)

    assert failure(case_of(name, CacheContract()), honest, seconds=30) is None


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_who_only_passes_on_passes_too(name: str) -> None:
    """So it is the lie that is caught, and not the wrapping."""
    assert failure(case_of(name, CacheContract()), partial(stage, zoo.LyingCache), seconds=30) is None


def test_every_liar_is_in_the_table() -> None:
    liars = {liar for liar in vars(zoo).values() if isinstance(liar, type) and issubclass(liar, zoo.LyingCache)}

    assert liars - {zoo.LyingCache} == set(CAUGHT)
