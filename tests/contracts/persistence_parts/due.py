"""What is promised of what is to be published, and of what is due."""

from datetime import timedelta

from ports.deliveries import Lane, State
from ports.persistence import Persistence, Remove, Unblock
from tests.builders import NOON, a_delivery, a_received, a_task
from tests.contracts.persistence_parts.cases import (
    DAY,
    HOUR,
    SECOND,
    PersistenceCases,
    a_dead_head,
    change,
    commit,
    dead,
    ids,
    key_of,
    recorded,
    stored,
)


class PublishingContract(PersistenceCases):
    async def test_events_come_in_the_order_of_recording(self, persistence: Persistence) -> None:
        """Also several of one subject, and whatever their due time: events wait for nothing but their turn."""
        rows = await recorded(
            persistence,
            a_delivery(subject="s", due_at=NOON + DAY),
            a_delivery(subject="other", due_at=NOON - DAY),
            a_delivery(subject="s"),
            a_delivery(subject=None),
        )

        ready = await persistence.ledger.ready_events(partitions=[0], limit=10)

        assert list(ready) == rows

    async def test_events_are_read_on_from_a_position(self, persistence: Persistence) -> None:
        """So a relay reads the next ones while those before are being marked."""
        first, *later = await recorded(persistence, *(a_delivery(partition=0) for _ in range(3)))

        ready = await persistence.ledger.ready_events(partitions=[0], limit=10, after=first.position)

        assert list(ready) == later

    async def test_only_ready_events_are_published(self, persistence: Persistence) -> None:
        await a_dead_head(persistence, a_delivery(subject="s"), a_delivery(subject="s"))
        await recorded(
            persistence,
            a_delivery().sent("broker-1", NOON),
            a_delivery().discarded(NOON),
            a_task(),
            a_received(),
        )
        (ready,) = await recorded(persistence, a_delivery())

        assert ids(await persistence.ledger.ready_events(partitions=[0], limit=10)) == [ready.id]

    async def test_events_are_read_by_partition(self, persistence: Persistence) -> None:
        rows = await recorded(persistence, *(a_delivery(partition=number % 4) for number in range(12)))

        some = await persistence.ledger.ready_events(partitions=[3, 1], limit=10)
        none = await persistence.ledger.ready_events(partitions=[], limit=10)
        empty = await persistence.ledger.ready_events(partitions=[9], limit=10)

        assert ids(some) == ids(rows[1::2])
        assert (list(none), list(empty)) == ([], [])

    async def test_the_first_come_when_not_all_are_wanted(self, persistence: Persistence) -> None:
        rows = await recorded(persistence, *(a_delivery(partition=number % 4) for number in range(12)))

        ready = await persistence.ledger.ready_events(partitions=range(4), limit=5)

        assert ids(ready) == ids(rows[:5])

    async def test_what_another_broker_took_is_found(self, persistence: Persistence) -> None:
        rows = await recorded(
            persistence,
            a_delivery().sent("new", NOON),
            a_delivery().sent("old", NOON),
            a_delivery(),
            a_delivery().sent("older", NOON - DAY),
            dead(a_delivery().sent("old", NOON)),
        )

        lost = await persistence.ledger.sent_events(to_other_than="new", before=None, limit=10)

        assert ids(lost) == [rows[1].id, rows[3].id]

    async def test_the_first_that_was_sent_waits_longest(self, persistence: Persistence) -> None:
        """Whatever was recorded before it; what is ready, dead or a task waits for others."""
        rows = await recorded(
            persistence,
            a_delivery().sent("broker-1", NOON),
            a_delivery(),
            a_delivery().sent("broker-1", NOON - HOUR),
            dead(a_delivery().sent("broker-1", NOON - DAY)),
            a_task().handed_over(NOON - DAY),
        )

        first = list(await persistence.ledger.first_sent())
        await commit(persistence, Remove(rows[2].id, None))
        second = list(await persistence.ledger.first_sent())
        await commit(persistence, Remove(rows[0].id, None))

        assert (first, second) == ([rows[2]], [rows[0]])
        assert list(await persistence.ledger.first_sent()) == []

    async def test_what_this_broker_took_long_ago_is_found(self, persistence: Persistence) -> None:
        rows = await recorded(
            persistence,
            a_delivery().sent("new", NOON),
            a_delivery().sent("new", NOON - HOUR),
            a_delivery().sent("old", NOON),
            a_delivery().sent("new", NOON - 2 * HOUR),
        )

        found = await persistence.ledger.sent_events(to_other_than="new", before=NOON, limit=10)

        assert ids(found) == ids(rows[1:])  # in the order of recording, whenever they were sent

    async def test_the_first_that_were_taken_come_when_not_all_are_wanted(self, persistence: Persistence) -> None:
        rows = await recorded(
            persistence, *(a_delivery().sent(f"old-{number % 2}", NOON - number * HOUR) for number in range(6))
        )

        found = await persistence.ledger.sent_events(to_other_than="new", before=None, limit=3)

        assert list(found) == rows[:3]


class DueContract(PersistenceCases):
    async def test_tasks_come_when_they_are_due_the_longest_due_first(self, persistence: Persistence) -> None:
        late, now, future, early, also_now = await recorded(
            persistence,
            a_task(due_at=NOON - SECOND),
            a_task(due_at=NOON),
            a_task(due_at=NOON + timedelta(microseconds=1)),
            a_task(due_at=NOON - HOUR),
            a_task(due_at=NOON),
        )

        due = await persistence.ledger.due(Lane.TASK, now=NOON, limit=10)

        assert list(due) == [early, late, now, also_now]
        assert future not in due

    async def test_the_longest_due_come_when_not_all_are_wanted(self, persistence: Persistence) -> None:
        rows = await recorded(persistence, *(a_task(due_at=NOON - number * SECOND) for number in range(6)))

        due = await persistence.ledger.due(Lane.TASK, now=NOON, limit=2)

        assert list(due) == rows[:3:-1]

    async def test_a_claimed_task_is_due_when_its_claim_ends(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_task())
        await commit(persistence, change(row, row.claimed("process-1", NOON + HOUR)))

        before = await persistence.ledger.due(Lane.TASK, now=NOON + HOUR - SECOND, limit=10)
        after = await persistence.ledger.due(Lane.TASK, now=NOON + HOUR, limit=10)

        assert (ids(before), ids(after)) == ([], [row.id])

    async def test_what_a_queue_was_given_lately_can_be_left_out(self, persistence: Persistence) -> None:
        """Else whoever hands tasks over would hand the same over again while they wait in the queue."""
        rows = await recorded(persistence, *(a_task(due_at=NOON - number * SECOND) for number in range(5, 0, -1)))
        fresh, lately, then, long_ago, claimed = rows
        await commit(
            persistence,
            change(lately, lately.handed_over(NOON + SECOND)),
            change(then, then.handed_over(NOON)),
            change(long_ago, long_ago.handed_over(NOON - HOUR)),
            change(claimed, claimed.handed_over(NOON + SECOND).claimed("process-1", NOON)),
        )
        ledger = persistence.ledger

        all_of_them = await ledger.due(Lane.TASK, now=NOON, limit=10)
        some = await ledger.due(Lane.TASK, now=NOON, limit=10, handed_before=NOON)
        first = await ledger.due(Lane.TASK, now=NOON, limit=2, handed_before=NOON)

        assert ids(all_of_them) == ids(rows)
        assert ids(some) == ids([fresh, then, long_ago, claimed])
        assert ids(first) == ids([fresh, then])

    async def test_it_is_counted_what_waits_in_a_queue(self, persistence: Persistence) -> None:
        """Tasks alone: an event that was sent waits in no queue, nor does a task that is claimed, dead or done."""
        _, given, claimed, died, done, event = await recorded(
            persistence, a_task(), a_task(), a_task(), a_task(), a_task(), a_delivery()
        )
        rows = (given, claimed, died, done)
        await commit(
            persistence,
            *(change(row, row.handed_over(NOON)) for row in rows),
            change(event, event.sent("broker-1", NOON)),
        )
        before = await persistence.ledger.handed_over()
        given, claimed, died, done = [await stored(persistence, row) for row in rows]

        await commit(
            persistence,
            change(claimed, claimed.claimed("process-1", NOON + HOUR)),
            change(died, dead(died)),
            Remove(done.id, token=done.token),
        )

        assert (before, await persistence.ledger.handed_over()) == (4, 1)

    async def test_tasks_wait_for_nobody(self, persistence: Persistence) -> None:
        _, *rows = await recorded(
            persistence,
            dead(a_task(subject="s")),
            a_task(subject="s", due_at=NOON - HOUR),
            a_task(subject="s"),
            a_task(subject=None),
        )

        assert list(await persistence.ledger.due(Lane.TASK, now=NOON, limit=10)) == rows

    async def test_only_what_is_ready_of_the_lane_and_group_is_due(self, persistence: Persistence) -> None:
        await a_dead_head(persistence, a_received(group="g", subject="s"), a_received(group="g", subject="s"))
        *_, ours = await recorded(
            persistence,
            a_delivery(),
            a_task(),
            a_received(group="other"),
            a_received(group="g").discarded(NOON),
            a_received(group="g"),
        )

        assert list(await persistence.ledger.due(Lane.RECEIVED, now=NOON, limit=10, group="g")) == [ours]

    async def test_received_messages_wait_for_the_ones_before_them(self, persistence: Persistence) -> None:
        """Whatever their own time: the head of a subject may be backing off while those behind it are long due."""
        head, second, third, other, free = await recorded(
            persistence,
            a_received(subject="s", due_at=NOON + HOUR),
            a_received(subject="s", due_at=NOON - HOUR),
            a_received(subject="s", due_at=NOON - DAY),
            a_received(subject="other", due_at=NOON),
            a_received(subject=None, due_at=NOON),
        )
        ledger = persistence.ledger

        assert list(await ledger.due(Lane.RECEIVED, now=NOON, limit=10, group="crossdock")) == [other, free]
        later = NOON + HOUR
        assert list(await ledger.due(Lane.RECEIVED, now=later, limit=10, group="crossdock")) == [other, free, head]
        await commit(persistence, Remove(head.id, token=head.token))
        assert list(await ledger.due(Lane.RECEIVED, now=NOON, limit=10, group="crossdock")) == [second, other, free]
        await commit(persistence, Remove(second.id, token=second.token))
        assert list(await ledger.due(Lane.RECEIVED, now=NOON, limit=10, group="crossdock")) == [third, other, free]

    async def test_those_that_wait_do_not_take_the_place_of_those_that_may_go(self, persistence: Persistence) -> None:
        await recorded(
            persistence,
            a_received(subject="s", due_at=NOON + HOUR),
            *(a_received(subject="s", due_at=NOON - DAY) for _ in range(50)),
        )
        (other,) = await recorded(persistence, a_received(due_at=NOON))

        assert list(await persistence.ledger.due(Lane.RECEIVED, now=NOON, limit=2, group="crossdock")) == [other]

    async def test_the_same_subject_elsewhere_is_another(self, persistence: Persistence) -> None:
        backing_off = a_received(group="g", topic="t", subject="s", due_at=NOON + HOUR)
        _, _, other_topic = await recorded(
            persistence,
            backing_off,
            a_received(group="other", topic="t", subject="s", due_at=NOON + HOUR),
            a_received(group="g", topic="other", subject="s"),
        )

        assert list(await persistence.ledger.due(Lane.RECEIVED, now=NOON, limit=10, group="g")) == [other_topic]

    async def test_nothing_goes_past_a_dead_one(self, persistence: Persistence) -> None:
        head, follower = await recorded(persistence, a_received(subject="s"), a_received(subject="s"))

        await commit(persistence, change(head, dead(head)))  # and nobody has blocked what is behind it

        assert list(await persistence.ledger.due(Lane.RECEIVED, now=NOON, limit=10, group="crossdock")) == []
        assert (await stored(persistence, follower)).state is State.READY

    async def test_what_is_replayed_goes_before_what_waited_for_it(self, persistence: Persistence) -> None:
        head, follower = await a_dead_head(persistence, a_received(subject="s"), a_received(subject="s"))

        await commit(persistence, change(head, head.replayed(NOON + HOUR)), Unblock(key_of(head)))

        ledger, later = persistence.ledger, NOON + HOUR
        assert list(await ledger.due(Lane.RECEIVED, now=NOON, limit=10, group="crossdock")) == []
        assert ids(await ledger.due(Lane.RECEIVED, now=later, limit=10, group="crossdock")) == [head.id]
        await commit(persistence, Remove(head.id, token=None))
        assert ids(await ledger.due(Lane.RECEIVED, now=later, limit=10, group="crossdock")) == [follower.id]

    async def test_what_was_given_up_holds_up_nobody(self, persistence: Persistence) -> None:
        head, follower = await a_dead_head(persistence, a_received(subject="s"), a_received(subject="s"))

        await commit(persistence, change(head, head.discarded(NOON)), Unblock(key_of(head)))

        due = await persistence.ledger.due(Lane.RECEIVED, now=NOON, limit=10, group="crossdock")
        assert ids(due) == [follower.id]
