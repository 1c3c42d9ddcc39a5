"""The contract of quotas catches each liar, by a case that an honest quota passes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from adapters.quota.memory import MemoryQuota
from ports.clock import Clock
from ports.quota import Quota
from tests.clock import ManualClock
from tests.contracts.quota import QuotaContract
from tests.unit.zoo import quotas as zoo
from tests.unit.zoo.judge import HANG, Fixtures, case_of, failure

CAUGHT: dict[type[zoo.LyingQuota], str] = {
    zoo.GrantsOneMore: "test_so_many_are_granted_and_no_more",
    zoo.LooksBeforeItCounts: "test_of_many_at_once_no_more_are_granted",
    zoo.CountsWhatItRefuses: "test_what_was_refused_is_not_counted",
    zoo.TakesOneToLook: "test_it_says_how_many_are_left_and_looking_takes_none",
    zoo.NamesTooShortAWait: "test_after_the_wait_that_it_names_there_is_room_for_one",
    zoo.BeginsAnew: "test_the_window_moves_and_does_not_begin_anew",
    zoo.FreesAllAtOnce: "test_each_grant_is_free_again_at_its_own_time",
    zoo.KeepsTheLockOfWhoLeaves: "test_who_leaves_in_the_middle_does_no_harm",
}
Wrap = Callable[[Quota, Clock, int, float], Quota]


@asynccontextmanager
async def stage(wrap: Wrap) -> AsyncIterator[Fixtures]:
    clock, contract = ManualClock(), QuotaContract
    honest = MemoryQuota(contract.COUNT, contract.SECONDS, clock=clock)
    yield {"quota": wrap(honest, clock, contract.COUNT, contract.SECONDS), "pass_time": clock.advance}


@pytest.mark.parametrize(("liar", "name"), CAUGHT.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_liar_is_caught(liar: type[zoo.LyingQuota], name: str) -> None:
    case = case_of(name, QuotaContract())

    assert failure(case, partial(stage, liar), seconds=HANG), f"{liar.__name__} passes {name}"


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_who_only_passes_on_passes(name: str) -> None:
    assert failure(case_of(name, QuotaContract()), partial(stage, zoo.LyingQuota), seconds=30) is None


def test_every_liar_is_in_the_table() -> None:
    liars = {liar for liar in vars(zoo).values() if isinstance(liar, type) and issubclass(liar, zoo.LyingQuota)}

    assert liars - {zoo.LyingQuota} == set(CAUGHT)
