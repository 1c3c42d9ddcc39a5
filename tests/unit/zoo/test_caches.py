"""The contract of caches catches each liar, by a case that an honest cache passes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import ClassVar

import pytest

from adapters.cache.memory import MemoryCache
from ports.cache import Cache
from tests.clock import ManualClock
from tests.contracts.cache import CacheContract
from tests.contracts.cache_outage import CacheOutageContract
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
    zoo.AnswersFromBefore: "test_who_leaves_in_the_middle_leaves_the_others_their_answers",
    zoo.HasOnePlace: "test_keys_do_not_meet",
    zoo.TakesKeysForOptions: "test_a_key_is_never_taken_for_anything_else",
    zoo.TakesLongForAMoment: "test_a_very_long_time_to_live_is_one",
    zoo.OverflowsWhenForEver: "test_a_very_long_time_to_live_is_one",
    zoo.AlwaysComplains: "test_it_says_that_all_is_well",
    zoo.RaisesWhenAway: "test_nothing_is_found_meanwhile_and_in_time",
    zoo.RaisesWhenItCannotPut: "test_putting_meanwhile_ends_in_time",
    zoo.HangsWhenItDropsMeanwhile: "test_dropping_meanwhile_ends_in_time",
    zoo.AsksOneAfterTheOther: "test_a_hundred_callers_meanwhile_end_in_time_altogether",
    zoo.LetsEachCallerWait: "test_not_each_of_those_who_come_meanwhile_waits",
    zoo.ChecksNothingMeanwhile: "test_a_key_outside_of_the_rules_is_refused_meanwhile_too",
    zoo.KeepsItToItself: "test_it_says_so_while_it_is_away_and_not_longer",
    zoo.NeverForgives: "test_it_says_so_while_it_is_away_and_not_longer",
    zoo.NeverReconnects: "test_it_works_again_by_itself",
    zoo.KeepsItsFirstConnection: "test_it_works_again_after_an_outage_that_nobody_noticed",
    zoo.ReconnectsOnce: "test_it_works_again_after_each_of_many_outages",
    zoo.WantsItsServerAtTheStart: "test_it_starts_without_a_server_and_works_when_there_is_one",
    zoo.HangsInStop: "test_stopping_meanwhile_ends_in_time",
    zoo.MixesUpWhatItHad: "test_nobody_gets_what_was_put_under_another_key",
    zoo.LogsEachRequest: "test_an_outage_is_told_once_and_not_by_each_request",
}


class Outage(CacheOutageContract):
    """Less patient than with a real server: nothing here takes time."""

    in_time: ClassVar[float] = 0.5
    patience: ClassVar[float] = 0.5

    async def take_away(self, cache: Cache) -> None:
        await (cache.crash() if isinstance(cache, zoo.LyingCache) else cache.stop())

    async def bring_back(self, cache: Cache) -> None:
        await (cache.recover() if isinstance(cache, zoo.LyingCache) else cache.start())


@asynccontextmanager
async def stage(wrap: Callable[[Cache], Cache]) -> AsyncIterator[Fixtures]:
    clock = ManualClock()
    yield {"cache": wrap(MemoryCache(clock)), "pass_time": clock.advance}


@pytest.mark.parametrize(("liar", "name"), CAUGHT.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_liar_is_caught(liar: type[zoo.LyingCache], name: str) -> None:
    case = case_of(name, CacheContract(), Outage())

    assert failure(case, partial(stage, liar), seconds=HANG), f"{liar.__name__} passes {name}"


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_an_honest_cache_passes_what_a_liar_fails(name: str) -> None:
    def honest() -> AbstractAsyncContextManager[Fixtures]:
        return stage(lambda cache: cache)

    assert failure(case_of(name, CacheContract(), Outage()), honest, seconds=30) is None


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_who_only_passes_on_passes_too(name: str) -> None:
    """So it is the lie that is caught, and not the wrapping."""
    assert failure(case_of(name, CacheContract(), Outage()), partial(stage, zoo.LyingCache), seconds=30) is None


def test_every_liar_is_in_the_table() -> None:
    liars = {liar for liar in vars(zoo).values() if isinstance(liar, type) and issubclass(liar, zoo.LyingCache)}

    assert liars - {zoo.LyingCache} == set(CAUGHT)
