"""The contract of persistence catches each liar, by a case that an honest store passes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest

from adapters.persistence.memory import MemoryPersistence
from ports.persistence import Persistence
from tests.clock import ManualClock
from tests.contracts.persistence import PersistenceContract
from tests.contracts.persistence_outage import PersistenceOutageContract
from tests.unit.zoo import persistences as zoo
from tests.unit.zoo.judge import HANG, Fixtures, case_of, failure, started

CAUGHT: dict[type[zoo.LyingPersistence], str] = {
    # units of work
    zoo.CommitsHalfAUnit: "test_a_unit_with_one_failing_write_writes_nothing",
    zoo.SwallowsConflicts: "test_an_address_that_somebody_has_is_refused",
    zoo.FailsTheWholeGroup: "test_a_unit_fails_alone_among_fifty_innocent_ones",
    zoo.AnswersBeforeItHasWritten: "test_what_depends_on_an_earlier_commit_sees_it",
    zoo.LosesWhatItsDiskHadNot: "test_what_was_committed_is_there_when_it_is_opened_again",
    zoo.LosesAddressesInACrash: "test_what_was_committed_before_is_there_afterwards",
    zoo.TakesBackWhatWasGiven: "test_a_caller_that_goes_away_does_not_take_back_what_it_gave",
    zoo.ReadsTheUnitLate: "test_what_was_given_cannot_be_changed_afterwards",
    zoo.HasAllTheTime: "test_a_unit_whose_time_has_run_out_is_not_written",
    zoo.WritesSomeBeforeItChecks: "test_what_fails_is_never_seen",
    zoo.BlocksInTheOrderOfTheUnit: "test_a_unit_may_give_up_the_head_and_unblock_the_rest",
    zoo.AnswersWhenItIsStopped: "test_a_stopped_store_is_unavailable",
    # preconditions
    zoo.IgnoresLeases: "test_who_does_not_hold_the_lease_may_not_commit",
    zoo.AnswersWithoutKeeping: "test_one_of_many_keeps_an_answer",
    zoo.KeepsAnswersApart: "test_an_answer_is_kept_with_what_was_done_or_not_at_all",
    zoo.LooksAtTheKeyLast: "test_that_there_is_an_answer_is_told_before_all_that_the_same_unit_has_made_untrue",
    zoo.KeepsAnswersForEver: "test_answers_that_were_given_long_ago_are_forgotten",
    zoo.IgnoresTokens: "test_one_of_many_changes_a_delivery",
    zoo.IgnoresVersions: "test_one_of_many_saves_a_version",
    zoo.AddsOrdersOfNobody: "test_an_order_of_nobody_is_refused",
    zoo.AddsAnAddressTwice: "test_one_of_many_gets_an_address",
    zoo.ForgetsWhatItHasSeen: "test_a_message_is_remembered_once",
    zoo.LetsLanesBeMovedTwice: "test_one_of_many_moves_a_lane",
    zoo.ForgetsItsHands: "test_what_is_in_hand_replaces_what_was_before",
    zoo.NeverBlocks: "test_only_what_is_ready_of_the_key_is_blocked",
    zoo.NeverUnblocks: "test_what_is_unblocked_is_ready_again",
    zoo.KeepsTheTokenOfWhatWasSent: "test_marking_what_was_sent_moves_the_token_on",
    # what is read
    zoo.KeepsTwoPlaces: "test_totals_are_kept_exactly",
    zoo.OverlapsItsPages: "test_pages_follow_one_another_without_gap_or_overlap",
    zoo.PublishesInTheOrderOfTheirTime: "test_events_come_in_the_order_of_recording",
    zoo.LooksAtTheTimeAlone: "test_received_messages_wait_for_the_ones_before_them",
    zoo.HandsOverAgainAtOnce: "test_what_a_queue_was_given_lately_can_be_left_out",
    zoo.CountsWhatIsNotInAQueue: "test_it_is_counted_what_waits_in_a_queue",
    zoo.TakesTheFirstRecordedForTheFirstSent: "test_the_first_that_was_sent_waits_longest",
    zoo.ForgetsWithoutBound: "test_no_more_than_the_limit_is_forgotten_at_once",
    zoo.ShowsTheDeadAgain: "test_pages_of_the_desk_follow_one_another",
    zoo.SearchesForPatterns: "test_the_desk_is_searched_by_lane_name_subject_and_reason",
    zoo.FindsOneGroup: "test_what_is_not_done_about_a_subject_is_found_whatever_it_is",
    zoo.CountsWhatIsThere: "test_what_is_done_has_been_recorded_all_the_same",
    # leases
    zoo.LosesTheFence: "test_the_fence_grows_with_every_change_of_holder",
    zoo.FencesEachRenewal: "test_what_is_ours_is_renewed_under_the_same_fence",
    zoo.GivesALeaseToEverybody: "test_what_another_holds_cannot_be_taken",
    zoo.HoldsLeasesForEver: "test_a_lease_runs_out",
    zoo.LetsAnybodyLetGo: "test_nobody_lets_go_of_what_another_holds",
    # while the server is gone
    zoo.CommitsToNobody: "test_what_is_committed_meanwhile_is_not_said_to_be_written",
    zoo.WaitsForTheServer: "test_many_who_commit_meanwhile_are_all_told_in_time",
    zoo.RaisesItsDriversError: "test_whatever_is_asked_meanwhile_is_unavailable_in_time",
    zoo.AnswersFromMemoryWhenItIsDown: "test_whatever_is_asked_meanwhile_is_unavailable_in_time",
    zoo.NeverReconnects: "test_committing_goes_on_by_itself",
    zoo.HangsInStopWhenItIsDown: "test_stopping_meanwhile_ends_in_time",
}
_NOT_LIARS = {zoo.LyingPersistence, zoo.Leaving}


class Contract(PersistenceContract):
    pass


class Outage(PersistenceOutageContract):
    async def take_away(self, persistence: Persistence) -> None:
        await (persistence.crash() if isinstance(persistence, zoo.LyingPersistence) else persistence.stop())

    async def bring_back(self, persistence: Persistence) -> None:
        await (persistence.recover() if isinstance(persistence, zoo.LyingPersistence) else persistence.start())


class ImpatientOutage(Outage):
    patience = in_time = 0.1


@asynccontextmanager
async def stage(wrap: Callable[[MemoryPersistence], Persistence]) -> AsyncIterator[Fixtures]:
    clock = ManualClock()
    async with started(wrap(MemoryPersistence(clock))) as persistence:
        yield {"clock": clock, "persistence": persistence}


@pytest.mark.parametrize(("liar", "name"), CAUGHT.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_liar_is_caught(liar: type[zoo.LyingPersistence], name: str) -> None:
    case = case_of(name, Contract(), ImpatientOutage())

    assert failure(case, partial(stage, liar), seconds=HANG), f"{liar.__name__} passes {name}"


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_an_honest_store_passes_what_a_liar_fails(name: str) -> None:
    case = case_of(name, Contract(), Outage())

    def honest() -> AbstractAsyncContextManager[Fixtures]:
        return stage(lambda store: store)

    assert failure(case, honest, seconds=30) is None


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_who_only_passes_on_passes_too(name: str) -> None:
    """So it is the lie that is caught, and not the wrapping."""
    case = case_of(name, Contract(), Outage())

    assert failure(case, partial(stage, zoo.LyingPersistence), seconds=30) is None


def test_every_liar_is_in_the_table() -> None:
    liars = {liar for liar in vars(zoo).values() if isinstance(liar, type) and issubclass(liar, zoo.LyingPersistence)}

    assert liars - _NOT_LIARS == set(CAUGHT)
