"""What is promised of what is still to be delivered, and of what waits behind what."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from ports.deliveries import Delivery, Happening, Lane, State
from ports.errors import Precondition, Rejected
from ports.message import BODY_MOST
from ports.persistence import Block, LaneState, MarkSent, Persistence, Record, Remember, Remove, Survey, Unblock
from tests.builders import NOON, a_delivery, a_received, a_task
from tests.contracts.persistence_parts.cases import (
    AWKWARD,
    DAY,
    HOUR,
    NUL,
    SECOND,
    PersistenceCases,
    a_dead_head,
    change,
    commit,
    dead,
    failing,
    key_of,
    race,
    recorded,
    states,
    stored,
    unit,
)


class LedgerContract(PersistenceCases):
    async def test_a_delivery_is_read_back_as_recorded(self, persistence: Persistence) -> None:
        delivery = a_received(
            partition=7,
            attributes={"id": "1", "source": "shop", "traceparent": "00-4bf9-00f0-01"},
            body=bytes(range(256)),
            due_at=NOON + HOUR,
            state=State.DEAD,
            token=3,
            attempts=2,
            holder="process-1",
            sent_to="broker-1",
            sent_at=NOON - SECOND,
            reason="no such mailbox",
            first_failed_at=NOON - DAY,
            last_failed_at=NOON - HOUR,
            story=(Happening(NOON - DAY, "failed", "timeout"), Happening(NOON, "dead", "no such mailbox")),
        )

        (row,) = await recorded(persistence, delivery)

        assert row == replace(delivery, position=row.position)

    async def test_a_delivery_that_was_never_recorded_is_none(self, persistence: Persistence) -> None:
        assert await persistence.ledger.get("nothing") is None

    @pytest.mark.parametrize("text", [AWKWARD, "", " ", "x" * 10_000], ids=["awkward", "empty", "blank", "long"])
    async def test_text_and_bytes_come_back_unchanged(self, persistence: Persistence, text: str) -> None:
        delivery = a_received(
            name=text,
            attributes={"type": text, f"x-{text}": "1", "y": ""},
            body=text.encode(),
            holder=text,
            sent_to=text,
            reason=text,
            story=(Happening(NOON, text, text),),
        )

        (row,) = await recorded(persistence, delivery)

        assert row == replace(delivery, position=row.position)

    @pytest.mark.parametrize(
        "awkward",
        [
            a_received(id=NUL),
            a_received(name=NUL),
            a_received(group=NUL),
            a_received(topic=NUL),
            a_received(subject=NUL),
            a_received(holder=NUL),
            a_received(reason=NUL),
        ],
        ids=["id", "name", "group", "topic", "subject", "holder", "reason"],
    )
    async def test_a_nul_character_is_kept_unless_the_store_refuses_it(
        self, persistence: Persistence, awkward: Delivery
    ) -> None:
        """And whoever commits at the same moment is not harmed."""
        innocent = [a_received() for _ in range(20)]
        units = [[Record(delivery)] for delivery in (*innocent[:10], awkward, *innocent[10:])]

        *others, outcome = await asyncio.gather(
            *(persistence.commit(unit) for unit in (*units[:10], *units[11:], units[10])), return_exceptions=True
        )

        assert others == [None] * 20
        for delivery in innocent:
            await stored(persistence, delivery)
        row = await persistence.ledger.get(awkward.id)
        if self.keeps_nul:
            assert outcome is None
            assert row is not None
            assert row == replace(awkward, position=row.position)
        else:
            assert isinstance(outcome, Rejected)
            assert row is None

    async def test_nobody_is_harmed_by_who_asks_for_what_cannot_be(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_delivery())

        found = await asyncio.gather(*(persistence.ledger.get(asked) for asked in (NUL, row.id, "\ud800", "")))

        assert found == [None, row, None, None]

    async def test_ids_subjects_and_topics_may_be_awkward(self, persistence: Persistence) -> None:
        row, other = await recorded(
            persistence,
            a_received(id=AWKWARD, group="g", topic="t", subject=AWKWARD),
            a_received(group="g", topic="t", subject=AWKWARD.replace("\n", "")),
        )

        await commit(persistence, change(row, dead(row)), Block(key_of(row)), Remember("g", AWKWARD, AWKWARD, NOON))

        assert await states(persistence, row, other) == [State.DEAD, State.READY]
        survey = await persistence.ledger.survey("g", "t", [(AWKWARD, AWKWARD, AWKWARD)])
        assert survey == Survey(frozenset({(AWKWARD, AWKWARD)}), {AWKWARD: LaneState(0, occupied=True)})

    async def test_the_largest_body_is_kept(self, persistence: Persistence) -> None:
        delivery = a_delivery(body=bytes(range(256)) * (BODY_MOST // 256))

        (row,) = await recorded(persistence, delivery)

        assert row.body == delivery.body

    async def test_positions_grow_in_the_order_of_recording(self, persistence: Persistence) -> None:
        first = await recorded(persistence, *(a_delivery() for _ in range(5)))
        second = await recorded(persistence, a_task(), a_received())

        positions = [row.position for row in (*first, *second)]

        assert positions == sorted(set(positions))
        assert positions[0] > 0

    async def test_an_id_that_is_recorded_already_is_a_conflict(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_delivery())

        failed = await failing(commit(persistence, Record(a_delivery(id=row.id))))

        assert failed is Precondition.TOKEN_IS_CURRENT
        assert await stored(persistence, row) == row

    async def test_a_change_is_stored_whole(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_delivery())
        steps: list[Callable[[Delivery], Delivery]] = [
            lambda now: now.sent("broker-1", NOON + SECOND),
            lambda now: now.ready_again(NOON + HOUR),
            lambda now: now.claimed("process-1", NOON + 2 * HOUR),
            lambda now: now.failed("timeout", NOON + DAY, attempts=3, due_at=NOON + 2 * DAY),
            lambda now: now.died("no such mailbox", NOON + 3 * DAY, attempts=4),
            lambda now: now.replayed(NOON + 4 * DAY),
            lambda now: now.discarded(NOON + 5 * DAY),
        ]

        for step in steps:
            changed = step(row)
            await commit(persistence, change(row, changed))

            row = await stored(persistence, row)
            assert row == changed

    async def test_a_change_keeps_the_place_in_the_order(self, persistence: Persistence) -> None:
        rows = await recorded(persistence, a_delivery(), a_delivery())

        await commit(persistence, change(rows[0], replace(rows[0].due(NOON + HOUR), position=0)))

        assert (await stored(persistence, rows[0])).position == rows[0].position

    async def test_a_change_with_a_token_of_the_past_is_a_conflict(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_task())
        claim = row.claimed("process-1", NOON + HOUR)
        await commit(persistence, change(row, claim))

        failed = await failing(commit(persistence, change(row, row.claimed("process-2", NOON + HOUR))))

        assert failed is Precondition.TOKEN_IS_CURRENT
        assert await stored(persistence, row) == claim

    async def test_a_change_of_what_is_gone_is_a_conflict(self, persistence: Persistence) -> None:
        gone = a_task()

        failed = await failing(commit(persistence, change(gone, gone.claimed("process-1", NOON))))

        assert failed is Precondition.TOKEN_IS_CURRENT
        assert await persistence.ledger.get(gone.id) is None

    async def test_an_event_that_a_broker_holds_is_marked_if_it_is_still_there(self, persistence: Persistence) -> None:
        row, gone = (await recorded(persistence, a_delivery()))[0], a_delivery()

        await commit(persistence, MarkSent(row.id, "broker-1", NOON), MarkSent(gone.id, "broker-1", NOON))

        assert await stored(persistence, row) == row.sent("broker-1", NOON)
        assert await persistence.ledger.get(gone.id) is None

    async def test_marking_what_was_sent_moves_the_token_on(self, persistence: Persistence) -> None:
        """Whoever still holds the token from before can change nothing."""
        (old,) = await recorded(persistence, a_delivery())
        changed = old.due(NOON).due(NOON).due(NOON)
        await commit(persistence, change(old, changed))

        await commit(persistence, MarkSent(old.id, "broker-1", NOON))

        assert (await stored(persistence, old)).token > changed.token

    async def test_what_is_done_is_gone(self, persistence: Persistence) -> None:
        done, other = await recorded(persistence, a_delivery(), a_delivery())

        await commit(persistence, Remove(done.id, token=done.token))

        assert await persistence.ledger.get(done.id) is None
        assert await stored(persistence, other) == other

    async def test_a_removal_with_a_token_of_the_past_is_a_conflict(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_task())
        claim = row.claimed("process-1", NOON + HOUR)
        await commit(persistence, change(row, claim))

        failed = await failing(commit(persistence, Remove(row.id, token=row.token)))

        assert failed is Precondition.TOKEN_IS_CURRENT
        assert await stored(persistence, row) == claim

    async def test_a_removal_of_what_is_gone_is_a_conflict(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_task())
        await commit(persistence, Remove(row.id, token=row.token))

        failed = await failing(commit(persistence, Remove(row.id, token=row.token)))

        assert failed is Precondition.TOKEN_IS_CURRENT

    async def test_a_removal_without_a_token_is_made_in_any_case(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_task())
        await commit(persistence, change(row, row.claimed("process-1", NOON + HOUR)))

        await commit(persistence, Remove(row.id, token=None), Remove("nothing", token=None))

        assert await persistence.ledger.get(row.id) is None

    async def test_it_is_counted_what_stands_where(self, persistence: Persistence) -> None:
        head, _, _ = await a_dead_head(persistence, a_delivery(subject="s"), a_delivery(subject="s"), a_task())
        removed, sent, _ = await recorded(persistence, a_delivery(), a_delivery(), a_received())

        await commit(persistence, Remove(removed.id, token=None), change(sent, sent.sent("broker-1", NOON)))

        counts = {key: number for key, number in (await persistence.ledger.counts()).items() if number}
        assert head.state is State.DEAD
        assert counts == {
            (Lane.EVENT, State.DEAD): 1,
            (Lane.EVENT, State.BLOCKED): 1,
            (Lane.EVENT, State.SENT): 1,
            (Lane.TASK, State.READY): 1,
            (Lane.RECEIVED, State.READY): 1,
        }

    async def test_it_is_told_since_when_the_first_of_each_lane_is_due(self, persistence: Persistence) -> None:
        nothing = await persistence.ledger.due_since()
        await a_dead_head(persistence, a_delivery(subject="s"), a_delivery(subject="s", due_at=NOON - DAY))
        await recorded(
            persistence,
            a_delivery(partition=5, due_at=NOON - SECOND),
            a_delivery(partition=2, due_at=NOON - HOUR),  # no older: it comes after the other
            a_task(due_at=NOON - SECOND),
            a_task(due_at=NOON - HOUR),
            dead(a_task(due_at=NOON - DAY)),
            a_received(due_at=NOON + HOUR, group="another"),
        )

        since = await persistence.ledger.due_since()

        assert nothing == {}
        assert since == {Lane.EVENT: NOON - SECOND, Lane.TASK: NOON - HOUR, Lane.RECEIVED: NOON + HOUR}

    async def test_what_is_not_ready_any_more_is_not_due(self, persistence: Persistence) -> None:
        event, task = await recorded(persistence, a_delivery(), a_task())

        await commit(persistence, change(event, event.sent("broker-1", NOON)), Remove(task.id, token=None))

        assert await persistence.ledger.due_since() == {}


class BlockingContract(PersistenceCases):
    async def test_what_is_recorded_behind_a_dead_one_is_blocked(self, persistence: Persistence) -> None:
        await a_dead_head(persistence, a_received(group="g", topic="t", subject="s"))

        rows = await recorded(
            persistence,
            a_received(group="g", topic="t", subject="s"),
            a_received(group="g", topic="t", subject="other"),
            a_received(group="g", topic="other", subject="s"),
            a_received(group="other", topic="t", subject="s"),
            a_received(group="g", topic="t", subject=None),
            a_delivery(topic="t", subject="s"),
            a_task(topic="t", subject="s"),
        )

        assert await states(persistence, *rows) == [State.BLOCKED, *[State.READY] * 6]

    async def test_what_is_recorded_dead_stays_dead_behind_a_dead_one(self, persistence: Persistence) -> None:
        """It has its own story to tell, on the desk."""
        await a_dead_head(persistence, a_received(subject="s"))

        (row,) = await recorded(persistence, dead(a_received(subject="s")))

        assert row.state is State.DEAD

    @pytest.mark.parametrize("subject", [None, "s"])
    async def test_a_dead_task_stops_nobody(self, persistence: Persistence, subject: str | None) -> None:
        await recorded(persistence, dead(a_task(subject=subject)))

        rows = await recorded(persistence, a_task(subject=subject), a_delivery(subject=subject))

        assert await states(persistence, *rows) == [State.READY, State.READY]

    async def test_a_dead_one_without_a_subject_stops_nobody(self, persistence: Persistence) -> None:
        await recorded(persistence, dead(a_delivery(subject=None)), dead(a_received(subject=None)))

        rows = await recorded(persistence, a_delivery(subject=None), a_received(subject=None))

        assert await states(persistence, *rows) == [State.READY, State.READY]

    async def test_what_was_given_up_stops_nobody(self, persistence: Persistence) -> None:
        (head,) = await a_dead_head(persistence, a_delivery(subject="s"))
        await commit(persistence, change(head, head.discarded(NOON)))

        (row,) = await recorded(persistence, a_delivery(subject="s"))

        assert row.state is State.READY

    async def test_only_what_is_ready_of_the_key_is_blocked(self, persistence: Persistence) -> None:
        ready, sent, given_up, other, task = rows = await recorded(
            persistence,
            a_delivery(topic="t", subject="s"),
            a_delivery(topic="t", subject="s").sent("broker-1", NOON),
            a_delivery(topic="t", subject="s").discarded(NOON),
            a_delivery(topic="t", subject="other"),
            a_task(topic="t", subject="s"),
        )

        await commit(persistence, Block(key_of(ready)))

        blocked = await stored(persistence, ready)
        assert blocked == replace(ready, state=State.BLOCKED, token=blocked.token)
        assert blocked.token > ready.token
        for row in (sent, given_up, other, task):
            assert await stored(persistence, row) == row
        assert len(rows) == 5

    async def test_what_is_unblocked_is_ready_again(self, persistence: Persistence) -> None:
        head, one, two = await a_dead_head(persistence, *(a_delivery(subject="s") for _ in range(3)))
        _, other = await a_dead_head(persistence, a_delivery(subject="other"), a_delivery(subject="other"))
        await commit(persistence, Remove(head.id, token=head.token))

        await commit(persistence, Unblock(key_of(head)))

        for blocked in (one, two):
            ready = await stored(persistence, blocked)
            assert ready == replace(blocked, state=State.READY, token=ready.token)
            assert ready.token > blocked.token
        assert await stored(persistence, other) == other

    async def test_nothing_is_unblocked_while_another_dead_one_is_left(self, persistence: Persistence) -> None:
        head, second, third = await a_dead_head(persistence, *(a_delivery(subject="s") for _ in range(3)))
        await commit(persistence, change(second, dead(second)))

        await commit(persistence, Remove(head.id, token=head.token), Unblock(key_of(head)))

        assert await states(persistence, second, third) == [State.DEAD, State.BLOCKED]

    async def test_to_block_or_unblock_what_is_not_there_does_nothing(self, persistence: Persistence) -> None:
        await commit(persistence, Block("/nothing/here"))
        await commit(persistence, Unblock("/nothing/here"))

    @pytest.mark.parametrize("block_comes", ["first", "last"])
    async def test_a_unit_may_kill_the_head_and_block_the_rest(
        self, persistence: Persistence, block_comes: str
    ) -> None:
        head, follower = await recorded(persistence, a_delivery(subject="s"), a_delivery(subject="s"))
        writes = unit(change(head, dead(head)), Block(key_of(head)))

        await persistence.commit(writes if block_comes == "last" else writes[::-1])

        assert await states(persistence, head, follower) == [State.DEAD, State.BLOCKED]

    @pytest.mark.parametrize("unblock_comes", ["first", "last"])
    async def test_a_unit_may_give_up_the_head_and_unblock_the_rest(
        self, persistence: Persistence, unblock_comes: str
    ) -> None:
        head, follower = await a_dead_head(persistence, a_delivery(subject="s"), a_delivery(subject="s"))
        writes = unit(change(head, head.discarded(NOON)), Unblock(key_of(head)))

        await persistence.commit(writes if unblock_comes == "last" else writes[::-1])

        assert await states(persistence, head, follower) == [State.DISCARDED, State.READY]

    @pytest.mark.parametrize("death_comes", ["first", "last"])
    async def test_what_is_recorded_while_the_head_dies_is_blocked(
        self, persistence: Persistence, death_comes: str
    ) -> None:
        (head,) = await recorded(persistence, a_delivery(subject="s"))
        follower = a_delivery(subject="s")
        units = [unit(change(head, dead(head)), Block(key_of(head))), unit(Record(follower))]

        outcomes = await race(persistence, *(units if death_comes == "first" else units[::-1]))

        assert outcomes == [None, None]
        assert await states(persistence, head, follower) == [State.DEAD, State.BLOCKED]
