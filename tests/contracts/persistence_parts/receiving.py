"""What is promised of what was received."""

from datetime import timedelta

from ports.deliveries import State
from ports.errors import Precondition
from ports.persistence import Advance, LaneState, Persistence, Record, Remember, Remove, Replace, Survey, TakeInHand
from tests.builders import NOON, a_delivery, a_received, a_task
from tests.contracts.persistence_parts.cases import (
    DAY,
    HOUR,
    SECOND,
    PersistenceCases,
    change,
    commit,
    dead,
    failing,
    recorded,
    states,
    stored,
)


class ReceivingContract(PersistenceCases):
    async def test_a_message_is_remembered_once(self, persistence: Persistence) -> None:
        await commit(persistence, Remember("g", "shop", "m-1", NOON))

        failed = await failing(commit(persistence, Remember("g", "shop", "m-1", NOON + HOUR)))

        assert failed is Precondition.MESSAGE_IS_NEW

    async def test_another_group_source_or_id_is_another_message(self, persistence: Persistence) -> None:
        await commit(
            persistence,
            Remember("g", "shop", "m-1", NOON),
            Remember("other", "shop", "m-1", NOON),
            Remember("g", "other", "m-1", NOON),
            Remember("g", "shop", "other", NOON),
        )

        messages = [("s", "shop", "m-1"), (None, "other", "m-1"), ("s", "shop", "new"), ("s", "other", "other")]
        survey = await persistence.ledger.survey("g", "t", messages)
        assert survey.seen == {("shop", "m-1"), ("other", "m-1")}

    async def test_a_lane_moves_one_version_at_a_time(self, persistence: Persistence) -> None:
        for version in range(3):
            await commit(persistence, Advance("g", "t", "s", version, NOON))

        for version in (0, 2, 4):
            failed = await failing(commit(persistence, Advance("g", "t", "s", version, NOON)))
            assert failed is Precondition.LANE_IS_CURRENT

        survey = await persistence.ledger.survey("g", "t", [("s", "shop", "m-1")])
        assert survey.lanes == {"s": LaneState(version=3, occupied=False)}

    async def test_lanes_are_apart_by_group_topic_and_subject(self, persistence: Persistence) -> None:
        await commit(
            persistence,
            Advance("g", "t", "s", 0, NOON),
            Advance("other", "t", "s", 0, NOON),
            Advance("g", "other", "s", 0, NOON),
            Advance("g", "t", "other", 0, NOON),
        )
        await commit(persistence, Advance("g", "t", "s", 1, NOON))

        survey = await persistence.ledger.survey("g", "t", [("s", "shop", "m-1"), ("other", "shop", "m-2")])

        assert survey.lanes == {"s": LaneState(version=2), "other": LaneState(version=1)}

    async def test_a_lane_is_occupied_while_a_message_of_it_is_kept(self, persistence: Persistence) -> None:
        async def occupied() -> bool:
            survey = await persistence.ledger.survey("g", "t", [("s", "shop", "m-1")])
            return "s" in survey.lanes and survey.lanes["s"].occupied

        first, second = await recorded(
            persistence,
            a_received(group="g", topic="t", subject="s"),
            a_received(group="g", topic="t", subject="s"),
        )
        assert await occupied()  # by ready ones
        first = dead(first)
        await commit(persistence, Replace(first, token=first.token - 1), Remove(second.id, token=None))
        assert await occupied()  # by a dead one
        await commit(persistence, Record(second), change(first, first.discarded(NOON)))
        assert await states(persistence, second) == [State.BLOCKED]
        assert await occupied()  # by a blocked one, beside one that was given up
        await commit(persistence, Remove(second.id, token=None))
        assert not await occupied()

    async def test_a_lane_is_not_occupied_by_what_is_not_its_own(self, persistence: Persistence) -> None:
        await recorded(
            persistence,
            a_received(group="other", topic="t", subject="s"),
            a_received(group="g", topic="other", subject="s"),
            a_received(group="g", topic="t", subject="other"),
            a_received(group="g", topic="t", subject=None),
            a_received(group="g", topic="t", subject="s").discarded(NOON),
            a_delivery(topic="t", subject="s"),
            a_task(topic="t", subject="s"),
        )

        survey = await persistence.ledger.survey("g", "t", [("s", "shop", "m-1"), (None, "shop", "m-2")])

        assert survey.lanes == {}

    async def test_many_messages_are_surveyed_at_once(self, persistence: Persistence) -> None:
        await commit(persistence, *(Remember("g", "shop", f"m-{number}", NOON) for number in range(0, 2_000, 2)))
        await commit(persistence, *(Advance("g", "t", f"s-{number}", 0, NOON) for number in range(0, 2_000, 2)))

        messages = [(f"s-{number}", "shop", f"m-{number}") for number in range(2_000)]
        survey = await persistence.ledger.survey("g", "t", messages)

        assert survey.seen == {("shop", f"m-{number}") for number in range(0, 2_000, 2)}
        assert survey.lanes == {f"s-{number}": LaneState(version=1) for number in range(0, 2_000, 2)}

    async def test_nothing_is_known_of_no_messages(self, persistence: Persistence) -> None:
        assert await persistence.ledger.survey("g", "t", []) == Survey(frozenset(), {})

    async def test_what_is_in_hand_replaces_what_was_before(self, persistence: Persistence) -> None:
        await commit(persistence, TakeInHand("g", "t", 0, ["m-1", "m-2"]), TakeInHand("g", "t", 1, ["m-3"]))
        await commit(persistence, TakeInHand("other", "t", 0, ["m-4"]), TakeInHand("g", "other", 0, ["m-5"]))

        await commit(persistence, TakeInHand("g", "t", 0, ["m-7", "m-6"]))

        assert list(await persistence.ledger.in_hand("g", "t", 0)) == ["m-7", "m-6"]
        assert list(await persistence.ledger.in_hand("g", "t", 1)) == ["m-3"]

    async def test_empty_hands_are_noted_too(self, persistence: Persistence) -> None:
        await commit(persistence, TakeInHand("g", "t", 0, ["m-1"]))

        await commit(persistence, TakeInHand("g", "t", 0, []))

        assert list(await persistence.ledger.in_hand("g", "t", 0)) == []
        assert list(await persistence.ledger.in_hand("g", "t", 1)) == []

    async def test_messages_that_were_remembered_long_ago_are_forgotten(self, persistence: Persistence) -> None:
        await commit(
            persistence,
            Remember("g", "shop", "new", NOON),
            Remember("g", "shop", "old", NOON - timedelta(microseconds=1)),
        )

        dropped = await persistence.ledger.forget(before=NOON, limit=100)

        assert dropped == 1
        await commit(persistence, Remember("g", "shop", "old", NOON))
        failed = await failing(commit(persistence, Remember("g", "shop", "new", NOON)))
        assert failed is Precondition.MESSAGE_IS_NEW

    async def test_lanes_that_nobody_has_moved_for_long_are_forgotten(self, persistence: Persistence) -> None:
        await commit(
            persistence,
            Advance("g", "t", "moved", 0, NOON - DAY),
            Advance("g", "t", "still", 0, NOON - DAY),
            Advance("g", "t", "new", 0, NOON),
        )
        await commit(persistence, Advance("g", "t", "moved", 1, NOON))

        dropped = await persistence.ledger.forget(before=NOON, limit=100)

        assert dropped == 1
        survey = await persistence.ledger.survey("g", "t", [(name, "a", "b") for name in ("moved", "still", "new")])
        assert survey.lanes == {"moved": LaneState(version=2), "new": LaneState(version=1)}

    async def test_deliveries_that_were_given_up_long_ago_are_forgotten(self, persistence: Persistence) -> None:
        old, new, *others = await recorded(
            persistence,
            a_task().discarded(NOON - SECOND),
            a_task().discarded(NOON),
            a_task(due_at=NOON - DAY),
            dead(a_task(due_at=NOON - DAY)),
            a_delivery().sent("broker-1", NOON - DAY),
        )

        dropped = await persistence.ledger.forget(before=NOON, limit=100)

        assert dropped == 1
        assert await persistence.ledger.get(old.id) is None
        for row in (new, *others):
            assert await stored(persistence, row) == row

    async def test_no_more_than_the_limit_is_forgotten_at_once(self, persistence: Persistence) -> None:
        await commit(persistence, *(Remember("g", "shop", f"m-{number}", NOON) for number in range(5)))

        dropped = [await persistence.ledger.forget(before=NOON + DAY, limit=2) for _ in range(4)]

        assert dropped == [2, 2, 1, 0]
