"""What is promised of what waits for a person."""

from typing import Any

import pytest

from ports.deliveries import Delivery, Lane, State
from ports.persistence import Persistence, Remember, Remove, Sought
from tests.builders import NOON, a_delivery, a_received, a_task
from tests.contracts.persistence_parts.cases import (
    AWKWARD,
    HOUR,
    NUL,
    SECOND,
    PersistenceCases,
    change,
    commit,
    dead,
    recorded,
    stored,
)


class DeskContract(PersistenceCases):
    async def test_the_desk_shows_the_dead_of_every_lane_oldest_first(self, persistence: Persistence) -> None:
        rows = await recorded(
            persistence,
            dead(a_delivery()),
            a_delivery(),
            dead(a_task()),
            a_task().discarded(NOON),
            dead(a_received()),
        )

        page = await persistence.ledger.dead(after=0, limit=10)

        assert list(page.items) == rows[::2]
        assert page.next_after is None

    async def test_pages_of_the_desk_follow_one_another(self, persistence: Persistence) -> None:
        rows = await recorded(persistence, *(dead(a_task()) for _ in range(5)))

        first = await persistence.ledger.dead(after=0, limit=2)
        assert first.next_after == rows[1].position
        second = await persistence.ledger.dead(after=first.next_after, limit=2)
        assert second.next_after == rows[3].position
        third = await persistence.ledger.dead(after=second.next_after, limit=2)

        assert [*first.items, *second.items, *third.items] == rows
        assert third.next_after is None

    async def test_a_page_that_holds_exactly_the_rest_is_the_last(self, persistence: Persistence) -> None:
        rows = await recorded(persistence, *(dead(a_task()) for _ in range(2)))

        page = await persistence.ledger.dead(after=0, limit=2)

        assert list(page.items) == rows
        assert page.next_after is None

    async def test_what_is_replayed_or_given_up_leaves_the_desk(self, persistence: Persistence) -> None:
        one, two, three = await recorded(persistence, *(dead(a_task()) for _ in range(3)))

        await commit(persistence, change(one, one.replayed(NOON)), change(two, two.discarded(NOON)))

        assert list((await persistence.ledger.dead(after=0, limit=10)).items) == [three]
        assert (await stored(persistence, two)).state is State.DISCARDED

    async def test_the_desk_is_searched_by_lane_name_subject_and_reason(self, persistence: Persistence) -> None:
        event, task, received = await recorded(
            persistence,
            a_delivery(subject="order-7%_").died("it raised KeyError", NOON, attempts=1),
            a_task(subject=None).died("no such mailbox", NOON, attempts=1),
            a_received(subject="Order-7").died("No such order", NOON, attempts=1),
        )
        await recorded(persistence, a_delivery(subject="order-7%_"))

        async def found(**sought: Any) -> list[Delivery]:
            page = await persistence.ledger.dead(after=0, limit=10, sought=Sought(**sought))
            assert await persistence.ledger.count_dead(Sought(**sought)) == len(page.items)
            return list(page.items)

        assert await found() == [event, task, received]
        assert await found(lane=Lane.TASK) == [task]
        assert await found(name="order.created") == [event, received]
        assert await found(subject="rder-7") == [event, received]
        assert await found(subject="7%_") == [event]
        assert await found(subject="_") == [event]
        assert await found(reason="o such") == [task, received]
        assert await found(reason="no such") == [task]
        assert await found(name="order.created", reason="o such", lane=Lane.RECEIVED) == [received]
        assert await found(lane=Lane.EVENT, reason="no such") == []

    @pytest.mark.parametrize("text", [AWKWARD, NUL, "\ud800"], ids=["awkward", "nul", "surrogate"])
    async def test_the_desk_may_be_searched_for_any_text(self, persistence: Persistence, text: str) -> None:
        await recorded(persistence, dead(a_task()))
        sought = Sought(reason=text)

        page = await persistence.ledger.dead(after=0, limit=10, sought=sought)

        assert list(page.items) == []
        assert await persistence.ledger.count_dead(sought) == 0
        assert list(await persistence.ledger.of_subject(text, limit=10)) == []

    async def test_pages_of_a_search_follow_one_another(self, persistence: Persistence) -> None:
        rows = await recorded(persistence, *(dead(a_task(subject="ab"[n % 2])) for n in range(6)))
        sought = Sought(subject="b")

        first = await persistence.ledger.dead(after=0, limit=2, sought=sought)
        assert first.next_after == rows[3].position
        second = await persistence.ledger.dead(after=first.next_after, limit=2, sought=sought)

        assert [*first.items, *second.items] == rows[1::2]
        assert second.next_after is None
        assert await persistence.ledger.count_dead(sought) == 3

    async def test_what_is_not_done_about_a_subject_is_found_whatever_it_is(self, persistence: Persistence) -> None:
        rows = await recorded(
            persistence,
            a_delivery(subject="s").sent("broker-1", NOON),
            a_task(subject="s").discarded(NOON),
            a_delivery(subject="s "),
            dead(a_received(subject="s")),
            a_received(subject="s", group="other"),
            a_task(subject=None),
        )

        found = await persistence.ledger.of_subject("s", limit=10)
        first = await persistence.ledger.of_subject("s", limit=2)

        assert list(found) == [rows[0], rows[1], rows[3], rows[4]]
        assert list(first) == rows[:2]

    async def test_what_moves_is_told_with_the_time_since_when_a_broker_holds_the_first(
        self, persistence: Persistence
    ) -> None:
        before = await persistence.ledger.flow(handled_since=NOON)
        await recorded(
            persistence,
            a_delivery().sent("broker-1", NOON + 2 * HOUR),
            a_delivery().sent("broker-2", NOON + HOUR),
            a_task().handed_over(NOON),
        )
        await commit(persistence, Remember("g", "shop", "m-1", NOON - SECOND))
        await commit(persistence, Remember("g", "shop", "m-2", NOON), Remember("h", "shop", "m-2", NOON + SECOND))

        flow = await persistence.ledger.flow(handled_since=NOON)

        assert (before.sent_since, before.handled) == (None, 0)
        assert (flow.sent_since, flow.handled) == (NOON + HOUR, 2)
        assert flow.recorded - before.recorded >= 3

    async def test_what_is_done_has_been_recorded_all_the_same(self, persistence: Persistence) -> None:
        (task,) = await recorded(persistence, a_task())
        before = await persistence.ledger.flow(handled_since=NOON)

        await commit(persistence, Remove(task.id, task.token))

        assert (await persistence.ledger.flow(handled_since=NOON)).recorded == before.recorded

    async def test_an_empty_desk_has_an_empty_page(self, persistence: Persistence) -> None:
        page = await persistence.ledger.dead(after=0, limit=10)

        assert (list(page.items), page.next_after) == ([], None)
