"""The contract of event brokers catches each liar, by a case that an honest broker passes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest

from adapters.clock import SystemClock
from adapters.event_broker.memory import MemoryEventBroker
from adapters.ids import UuidV7Ids
from ports.event_broker import Batch, EventBroker
from ports.message import Message
from tests.builders import an_id
from tests.contracts.event_broker import EventBrokerCases, EventBrokerContract
from tests.contracts.event_broker_outage import EventBrokerOutageContract
from tests.unit.zoo import event_brokers as zoo
from tests.unit.zoo.judge import HANG, Fixtures, case_of, failure, started

CAUGHT: dict[type[zoo.LyingEventBroker], str] = {
    # publishing
    zoo.LosesEveryFiftieth: "test_many_may_publish_at_once",
    zoo.ConfirmsWhatItHasNotSent: "test_what_is_confirmed_is_in_the_broker",
    zoo.Overtakes: "test_messages_of_one_subject_arrive_in_order",
    zoo.LosesTheKey: "test_messages_of_one_subject_arrive_in_order",
    zoo.ForgetsHeaders: "test_bytes_and_attributes_arrive_unchanged",
    zoo.ForgetsTheTrace: "test_bytes_and_attributes_arrive_unchanged",
    zoo.WritesHeadersInAscii: "test_bytes_and_attributes_arrive_unchanged",
    zoo.TakesBodiesForText: "test_bytes_and_attributes_arrive_unchanged",
    zoo.TakesEmptyForNothing: "test_bytes_and_attributes_arrive_unchanged",
    zoo.DropsWhatHasNoSubject: "test_messages_without_a_subject_all_arrive",
    zoo.WantsAnId: "test_a_message_without_attributes_arrives",
    zoo.KeepsWhatItWasGiven: "test_what_was_published_cannot_be_changed_afterwards",
    zoo.SwallowsErrors: "test_each_message_has_its_own_outcome_in_order",
    zoo.AnswersInAnotherOrder: "test_each_message_has_its_own_outcome_in_order",
    zoo.AnswersOnlyWhatWentWrong: "test_each_message_has_its_own_outcome_in_order",
    zoo.RejectsTheWholeBatch: "test_each_message_has_its_own_outcome_in_order",
    zoo.WantsSomethingToPublish: "test_nothing_becomes_of_no_messages",
    zoo.RejectsWhatIsMerelyUnavailable: "test_a_stopped_broker_is_unavailable",
    zoo.TakesWhatIsTooLarge: "test_a_body_is_carried_up_to_the_limit_and_nothing_of_it_beyond",
    zoo.PublishesWhatItRejects: "test_a_body_is_carried_up_to_the_limit_and_nothing_of_it_beyond",
    zoo.RefusesTheLargest: "test_the_largest_message_is_carried",
    zoo.ConfirmsWhatNobodyGets: "test_what_nobody_has_declared_is_unavailable",
    zoo.StopsWithPublishersWaiting: "test_stopping_leaves_no_publisher_waiting",
    zoo.HoldsItsLockWhenCancelled: "test_a_cancelled_publication_ends_at_once_and_disturbs_nobody",
    # groups
    zoo.GivesToEachMember: "test_no_message_is_given_to_two_members_that_have_settled",
    zoo.GivesToOneMember: "test_members_of_a_group_share_its_messages",
    zoo.GivesEachGroupAShare: "test_each_group_gets_each_message",
    zoo.StartsNewGroupsAtTheBeginning: "test_a_group_receives_from_its_declaration_on",
    zoo.StartsGroupsAtTheirFirstMember: "test_messages_are_kept_for_a_group_without_members",
    zoo.DeclaringAgainStartsAnew: "test_to_declare_again_changes_nothing",
    zoo.HearsOneTopic: "test_a_member_receives_from_several_topics",
    # receiving
    zoo.IgnoresTheLimit: "test_no_more_than_the_limit_comes_of_a_partition",
    zoo.SplitsItsBatches: "test_no_more_than_the_limit_comes_of_a_partition",
    zoo.CountsPartitionsFromOne: "test_a_batch_says_where_it_comes_from",
    zoo.ReversesBatches: "test_messages_of_one_subject_arrive_in_order",
    zoo.GivesEachTwice: "test_what_was_acknowledged_does_not_come_again",
    zoo.NeverWaits: "test_who_receives_waits_while_there_is_nothing",
    zoo.LosesWhatItFetchedWhenCancelled: "test_a_cancelled_wait_loses_nothing",
    zoo.SwallowsTheCancellation: "test_a_cancelled_wait_ends_at_once",
    # acknowledging
    zoo.AcknowledgesOnReceipt: "test_what_was_not_acknowledged_comes_again_when_the_member_has_left",
    zoo.AcknowledgesWhenItLeaves: "test_what_was_not_acknowledged_comes_again_when_the_member_has_vanished",
    zoo.AcknowledgesEverythingInHand: "test_to_acknowledge_one_batch_acknowledges_no_other",
    zoo.NeverAcknowledges: "test_what_was_acknowledged_does_not_come_again",
    zoo.AcknowledgesAtTheNextReceive: "test_the_backlog_is_what_is_not_acknowledged",
    zoo.AcknowledgesForOthers: "test_to_acknowledge_what_another_member_has_now_is_harmless",
    zoo.AcknowledgesTheNextTooWhenToldTwice: "test_to_acknowledge_twice_is_harmless",
    zoo.GivesMoreBeforeTheAcknowledgement: "test_a_partition_gives_nothing_further_before_its_batch_is_acknowledged",
    zoo.GivesNothingWhileAnythingIsInHand: "test_a_partition_gives_nothing_further_before_its_batch_is_acknowledged",
    zoo.ForgetsWhatIsInHandInTheBacklog: "test_the_backlog_is_what_is_not_acknowledged",
    zoo.KnowsTheBacklogOfOneTopic: "test_the_backlog_is_that_of_one_group_in_all_of_the_topics",
    zoo.CountsWhatEverybodyHasLeft: "test_the_backlog_is_that_of_one_group_in_all_of_the_topics",
    # leaving and stopping
    zoo.HangsInCloseWhileAnotherWaits: "test_leaving_ends_the_wait_of_another_task",
    zoo.LeavesOnce: "test_a_member_may_leave_twice",
    zoo.NeverLeaves: "test_who_has_left_receives_nothing_more",
    zoo.WaitsOnWhenItIsStopped: "test_stopping_ends_every_wait",
    zoo.ChangesItsIdentity: "test_it_says_which_broker_it_is",
    # while the server is gone
    zoo.ReportsSuccessWhenItIsDown: "test_what_is_published_meanwhile_is_unavailable_in_time",
    zoo.RaisesItsLibrarysError: "test_what_is_published_meanwhile_is_unavailable_in_time",
    zoo.HangsWhenItIsDown: "test_what_is_published_meanwhile_is_unavailable_in_time",
    zoo.RaisesItsLibrarysErrorInReceive: "test_who_receives_meanwhile_is_told_in_time",
    zoo.ReceivesNothingWhenItIsDown: "test_who_receives_meanwhile_is_told_in_time",
    zoo.RaisesItsLibrarysErrorInAcknowledge: "test_an_acknowledgement_meanwhile_ends_in_time_and_loses_nothing",
    zoo.MakesUpTheBacklog: "test_what_cannot_be_known_meanwhile_is_not_made_up",
    zoo.DeclaresNothingWhenItIsDown: "test_what_cannot_be_known_meanwhile_is_not_made_up",
    zoo.HangsInStopWhenItIsDown: "test_leaving_and_stopping_meanwhile_end_in_time",
    zoo.KeepsItInMemory: "test_what_was_confirmed_before_arrives_afterwards",
    zoo.AcknowledgesOnReconnect: "test_what_was_in_hand_and_not_acknowledged_comes_again",
    zoo.ForgetsAcknowledgementsInACrash: "test_what_was_acknowledged_before_does_not_come_again",
    zoo.NeverReconnects: "test_publishing_goes_on_by_itself",
    zoo.NeverReconnectsItsMembers: "test_receiving_goes_on_by_itself",
    zoo.SleepsThroughTheOutage: "test_who_waited_all_the_while_receives_afterwards",
    zoo.SendsLaterWhatItCouldNotSend: "test_no_message_overtakes_another_of_its_subject",
    zoo.IsAnotherAfterARestart: "test_it_is_the_same_broker_when_nothing_was_lost",
    zoo.FailsToStartWithoutAServer: "test_it_starts_without_a_server_and_works_when_there_is_one",
}


class _Hooks(EventBrokerCases):
    """What an adapter's test class fills, for honest and lying brokers alike."""

    @asynccontextmanager
    async def audit(self, broker: EventBroker, topic: str) -> AsyncIterator[Callable[[], Awaitable[list[Message]]]]:
        honest = broker.honest if isinstance(broker, zoo.LyingEventBroker) else broker

        async def look() -> list[Message]:
            assert isinstance(honest, MemoryEventBroker)
            return [message for message in honest.published if message.topic == topic]

        yield look


class Contract(_Hooks, EventBrokerContract):
    pass


class Outage(_Hooks, EventBrokerOutageContract):
    async def take_away(self, broker: EventBroker) -> None:
        await (broker.crash() if isinstance(broker, zoo.LyingEventBroker) else broker.stop())

    async def bring_back(self, broker: EventBroker) -> None:
        await (broker.recover() if isinstance(broker, zoo.LyingEventBroker) else broker.start())


class ImpatientContract(Contract):
    patience = at_once = 0.1


class ImpatientOutage(Outage):
    patience = at_once = in_time = 0.1


class Sparing(zoo.LyingEventBroker):
    """Honest too: it gives a partition's messages one by one, as a slow network brings them."""

    class member(zoo.LyingMember):  # noqa: N801 - it is the class of this one's members
        async def receive(self, *, limit: int) -> Sequence[Batch]:
            return await super().receive(limit=min(limit, 1))


def an_honest_broker() -> MemoryEventBroker:
    return MemoryEventBroker(UuidV7Ids(SystemClock()), partitions=EventBrokerCases.partitions)


@asynccontextmanager
async def stage(make: Callable[[], EventBroker]) -> AsyncIterator[Fixtures]:
    async with started(make()) as broker:
        topic, group = f"topic-{an_id().hex}", f"group-{an_id().hex}"
        await broker.declare([topic], group)
        yield {"broker": broker, "topic": topic, "group": group}


@pytest.mark.parametrize(("liar", "name"), CAUGHT.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_liar_is_caught(liar: type[zoo.LyingEventBroker], name: str) -> None:
    case = case_of(name, ImpatientContract(), ImpatientOutage())

    def lying() -> AbstractAsyncContextManager[Fixtures]:
        return stage(lambda: liar(an_honest_broker()))

    assert failure(case, lying, seconds=HANG), f"{liar.__name__} passes {name}"


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_an_honest_broker_passes_what_a_liar_fails(name: str) -> None:
    case = case_of(name, Contract(), Outage())

    assert failure(case, partial(stage, an_honest_broker), seconds=30) is None


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_who_only_passes_on_passes_too(name: str) -> None:
    """So it is the lie that is caught, and not the wrapping."""
    case = case_of(name, Contract(), Outage())

    def wrapped() -> AbstractAsyncContextManager[Fixtures]:
        return stage(lambda: zoo.LyingEventBroker(an_honest_broker()))

    assert failure(case, wrapped, seconds=30) is None


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_who_gives_less_at_once_passes_too(name: str) -> None:
    """A limit is what may come at most; no case waits for all of it in one batch."""
    case = case_of(name, Contract(), Outage())

    def sparing() -> AbstractAsyncContextManager[Fixtures]:
        return stage(lambda: Sparing(an_honest_broker()))

    assert failure(case, sparing, seconds=30) is None


def test_every_liar_is_in_the_table() -> None:
    liars = {liar for liar in vars(zoo).values() if isinstance(liar, type) and issubclass(liar, zoo.LyingEventBroker)}

    assert liars - {zoo.LyingEventBroker} == set(CAUGHT)
