"""What is promised of a commit."""

import asyncio

import pytest

from domain.model.email import Email
from ports.deliveries import Lane
from ports.errors import Precondition, Unavailable, Unknown
from ports.persistence import (
    AddOrder,
    AddUser,
    Advance,
    Block,
    HoldLease,
    KeepAnswer,
    Persistence,
    Record,
    Remember,
    Remove,
    Replace,
    SaveOrder,
    Survey,
    TakeInHand,
    Traffic,
    Write,
)
from tests.builders import NOON, a_delivery, a_received, a_task, a_user, an_id, an_order
from tests.contracts.persistence_parts.cases import (
    HOUR,
    SECOND,
    PersistenceCases,
    a_stored_order,
    a_stored_user,
    an_answer,
    change,
    commit,
    dead,
    failing,
    key_of,
    one_winner,
    race,
    recorded,
    stored,
    unit,
)


class CommitContract(PersistenceCases):
    async def test_an_empty_unit_is_committed(self, persistence: Persistence) -> None:
        await commit(persistence)

    @pytest.mark.parametrize("place", [0, 5, 10], ids=["first", "in the middle", "last"])
    async def test_a_unit_with_one_failing_write_writes_nothing(self, persistence: Persistence, place: int) -> None:
        order = await a_stored_order(persistence)
        kept, changed, removed = await recorded(persistence, a_delivery(), a_delivery(), a_task())
        user, new = a_user(), a_delivery()
        writes = unit(
            AddUser(user),
            AddOrder(an_order(user=user)),
            SaveOrder(order.confirm(NOON)),
            Record(new),
            change(changed, dead(changed)),
            Remove(removed.id, token=removed.token),
            Block(key_of(kept)),
            Remember("crossdock", "shop", "m-1", NOON),
            Advance("crossdock", "order_events", "s-1", version=0, at=NOON),
            TakeInHand("crossdock", "order_events", 0, ["m-1"]),
        )
        writes.append(KeepAnswer(an_answer()))
        writes.insert(place, HoldLease("relay/0", holder="nobody", fence=1))

        failed = await failing(persistence.commit(writes))

        assert failed is Precondition.LEASE_IS_HELD
        assert await persistence.users.get(user.id) is None
        assert list(await persistence.orders.page(user_id=None, before=None, limit=10)) == [order]
        assert await persistence.ledger.get(new.id) is None
        for row in (kept, changed, removed):
            assert await stored(persistence, row) == row
        survey = await persistence.ledger.survey("crossdock", "order_events", [("s-1", "shop", "m-1")])
        assert survey == Survey(frozenset(), {})
        assert list(await persistence.ledger.in_hand("crossdock", "order_events", 0)) == []
        assert await persistence.answers.get("a-1") is None

    @pytest.mark.parametrize(
        "failing_write",
        [
            SaveOrder(an_order(user=a_user()).confirm(NOON)),
            AddOrder(an_order(user=a_user())),
            Replace(a_delivery(), token=1),
            Remove("nothing", token=1),
            Advance("crossdock", "order_events", "s-1", version=7, at=NOON),
            HoldLease("relay/0", holder="nobody", fence=1),
        ],
        ids=lambda write: type(write).__name__,
    )
    async def test_whichever_write_fails_the_others_are_not_written(
        self, persistence: Persistence, failing_write: Write
    ) -> None:
        user, delivery = a_user(), a_delivery()

        failed = await failing(commit(persistence, AddUser(user), Record(delivery), failing_write))

        assert failed is not None
        assert await persistence.users.get(user.id) is None
        assert await persistence.ledger.get(delivery.id) is None

    async def test_a_unit_that_failed_may_be_given_again(self, persistence: Persistence) -> None:
        user, delivery = a_user(), a_delivery()
        again = unit(AddOrder(an_order(user=user)), Record(delivery))
        assert await failing(persistence.commit(again)) is Precondition.USER_EXISTS

        await commit(persistence, AddUser(user))
        await persistence.commit(again)

        assert await persistence.ledger.get(delivery.id) is not None

    async def test_a_unit_fails_alone_among_fifty_innocent_ones(self, persistence: Persistence) -> None:
        """Units that wait at the same moment may be committed together, but not fail together."""
        taken = await a_stored_user(persistence)
        users = [a_user() for _ in range(51)]
        guilty = users[20] = a_user(email=taken.email)

        outcomes = await asyncio.gather(
            *(failing(commit(persistence, AddUser(user), Record(a_delivery(id=str(user.id))))) for user in users)
        )

        expected = [Precondition.EMAIL_IS_NEW if user is guilty else None for user in users]
        assert outcomes == expected
        for user in users:
            written = user is not guilty
            assert (await persistence.users.get(user.id) is not None) is written
            assert (await persistence.ledger.get(str(user.id)) is not None) is written

    async def test_each_of_many_failing_units_hears_of_its_own_failure(self, persistence: Persistence) -> None:
        taken = await a_stored_user(persistence)
        units: dict[Precondition | None, Write] = {
            Precondition.EMAIL_IS_NEW: AddUser(a_user(email=taken.email)),
            Precondition.USER_EXISTS: AddOrder(an_order(user=a_user())),
            Precondition.VERSION_IS_CURRENT: SaveOrder(an_order(user=taken).confirm(NOON)),
            Precondition.TOKEN_IS_CURRENT: Remove("nothing", token=1),
            Precondition.LANE_IS_CURRENT: Advance("crossdock", "order_events", "s-1", version=7, at=NOON),
            Precondition.LEASE_IS_HELD: HoldLease("relay/0", holder="nobody", fence=1),
            None: AddUser(a_user()),
        }

        outcomes = await asyncio.gather(*(failing(commit(persistence, write)) for write in units.values()))

        assert outcomes == list(units)

    async def test_hundreds_of_units_at_once_are_all_written(self, persistence: Persistence) -> None:
        orders = {an_id(): an_order(user=a_user()) for _ in range(300)}
        users = [a_user(id=order.user_id) for order in orders.values()]

        outcomes = await race(
            persistence,
            *(
                unit(AddUser(user), AddOrder(order), Record(a_delivery(id=str(order.id))))
                for user, order in zip(users, orders.values(), strict=True)
            ),
        )

        assert outcomes == [None] * 300
        positions = set()
        for user, order in zip(users, orders.values(), strict=True):
            assert await persistence.users.get(user.id) == user
            assert await persistence.orders.get(order.id) == order
            delivery = await persistence.ledger.get(str(order.id))
            assert delivery is not None
            positions.add(delivery.position)
        assert len(positions) == 300

    async def test_one_of_many_gets_an_address(self, persistence: Persistence) -> None:
        users = [a_user(email=Email("ann@example.com")) for _ in range(9)]

        outcomes = await race(
            persistence, *(unit(AddUser(user), Record(a_delivery(id=str(user.id)))) for user in users)
        )

        assert one_winner(outcomes, Precondition.EMAIL_IS_NEW)
        for user, failed in zip(users, outcomes, strict=True):
            assert (await persistence.users.get(user.id) is None) is (failed is not None)
            assert (await persistence.ledger.get(str(user.id)) is None) is (failed is not None)

    async def test_one_of_many_saves_a_version(self, persistence: Persistence) -> None:
        order = await a_stored_order(persistence)
        versions = [order.confirm(NOON + at * SECOND) for at in range(9)]

        outcomes = await race(persistence, *([SaveOrder(version)] for version in versions))

        assert one_winner(outcomes, Precondition.VERSION_IS_CURRENT)
        assert await persistence.orders.get(order.id) == versions[outcomes.index(None)]

    async def test_one_of_many_changes_a_delivery(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_task())
        claims = [row.claimed(f"process-{number}", NOON + HOUR) for number in range(9)]

        outcomes = await race(persistence, *([change(row, claim)] for claim in claims))

        assert one_winner(outcomes, Precondition.TOKEN_IS_CURRENT)
        assert await stored(persistence, row) == claims[outcomes.index(None)]

    async def test_either_a_change_or_a_removal_wins(self, persistence: Persistence) -> None:
        (row,) = await recorded(persistence, a_task())
        claim = row.claimed("process-1", NOON + HOUR)

        outcomes = await race(persistence, [Remove(row.id, token=row.token)], [change(row, claim)])

        assert one_winner(outcomes, Precondition.TOKEN_IS_CURRENT)
        assert await persistence.ledger.get(row.id) == (claim if outcomes[0] else None)

    async def test_one_of_many_remembers_a_message(self, persistence: Persistence) -> None:
        orders = [await a_stored_order(persistence) for _ in range(9)]

        outcomes = await race(
            persistence,
            *(unit(SaveOrder(order.confirm(NOON)), Remember("crossdock", "shop", "m-1", NOON)) for order in orders),
        )

        assert one_winner(outcomes, Precondition.MESSAGE_IS_NEW)
        confirmed = [(await persistence.orders.get(order.id)) != order for order in orders]
        assert confirmed == [failed is None for failed in outcomes]

    async def test_one_of_many_moves_a_lane(self, persistence: Persistence) -> None:
        for version in (0, 1):  # a lane without a row, and one with
            advance = Advance("crossdock", "order_events", "s-1", version, NOON)
            parked = [a_received() for _ in range(9)]

            outcomes = await race(persistence, *(unit(advance, Record(delivery)) for delivery in parked))

            assert one_winner(outcomes, Precondition.LANE_IS_CURRENT)
            written = [await persistence.ledger.get(delivery.id) is not None for delivery in parked]
            assert written == [failed is None for failed in outcomes]

    async def test_one_of_many_records_an_id(self, persistence: Persistence) -> None:
        twins = [a_delivery(id="the-same", body=str(number).encode()) for number in range(9)]

        outcomes = await race(persistence, *([Record(twin)] for twin in twins))

        assert one_winner(outcomes, Precondition.TOKEN_IS_CURRENT)
        assert (await stored(persistence, twins[0])).body == twins[outcomes.index(None)].body

    async def test_units_that_want_the_same_rows_in_opposite_order_do_not_stop_each_other(
        self, persistence: Persistence
    ) -> None:
        rows = await recorded(persistence, *(a_task() for _ in range(10)))
        forward = unit(*(change(row, row.claimed("forward", NOON)) for row in rows))
        backward = unit(*(change(row, row.claimed("backward", NOON)) for row in reversed(rows)))

        outcomes = await race(persistence, *[forward, backward] * 3)

        assert one_winner(outcomes, Precondition.TOKEN_IS_CURRENT)
        assert len({(await stored(persistence, row)).holder for row in rows}) == 1

    async def test_what_depends_on_an_earlier_commit_sees_it(self, persistence: Persistence) -> None:
        """Whoever has been told that a commit is done can build on it, by whatever traffic."""
        user = a_user()
        await persistence.commit([AddUser(user)], traffic=Traffic.CONSUMER)
        order = an_order(user=user)

        await persistence.commit([AddOrder(order)], traffic=Traffic.REQUEST)
        await persistence.commit([SaveOrder(order.confirm(NOON))], traffic=Traffic.BOOKKEEPING)

        kept = await persistence.orders.get(order.id)
        assert kept is not None
        assert kept.version == 2

    async def test_who_sees_one_row_of_a_unit_sees_all_of_it(self, persistence: Persistence) -> None:
        users = [a_user() for _ in range(50)]
        writing = asyncio.gather(
            *(commit(persistence, AddUser(user), Record(a_delivery(id=str(user.id)))) for user in users)
        )

        while not writing.done():
            for user in users:
                seen = await persistence.ledger.get(str(user.id))
                assert seen is None or await persistence.users.get(user.id) == user
            await asyncio.sleep(0)

        await writing

    async def test_what_fails_is_never_seen(self, persistence: Persistence) -> None:
        delivery = a_delivery()
        refused = unit(Record(delivery), HoldLease("relay/0", holder="nobody", fence=1))
        writing = asyncio.gather(*(failing(persistence.commit(refused)) for _ in range(20)))

        while not writing.done():
            assert await persistence.ledger.get(delivery.id) is None
            await asyncio.sleep(0)

        assert set(await writing) == {Precondition.LEASE_IS_HELD}

    async def test_a_unit_whose_time_has_run_out_is_not_written(self, persistence: Persistence) -> None:
        user = a_user()

        with pytest.raises(Unavailable):
            await persistence.commit([AddUser(user)], seconds=0)

        await commit(persistence)
        assert await persistence.users.get(user.id) is None

    async def test_a_caller_that_goes_away_does_not_take_back_what_it_gave(self, persistence: Persistence) -> None:
        user = a_user()
        leaving = asyncio.create_task(commit(persistence, AddUser(user)))
        await asyncio.sleep(0)

        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

        for _ in range(100):  # each of these waits for what was given before it
            await commit(persistence, AddUser(a_user()))
            if await persistence.users.get(user.id):
                break
        assert await persistence.users.get(user.id) == user

    async def test_a_caller_that_goes_away_disturbs_nobody(self, persistence: Persistence) -> None:
        staying = [asyncio.create_task(commit(persistence, AddUser(a_user()))) for _ in range(10)]
        leaving = [asyncio.create_task(commit(persistence, AddUser(a_user()))) for _ in range(10)]
        await asyncio.sleep(0)

        for task in leaving:
            task.cancel()

        assert await asyncio.gather(*staying) == [None] * 10
        await asyncio.gather(*leaving, return_exceptions=True)
        await commit(persistence, AddUser(a_user()))

    async def test_what_was_given_cannot_be_changed_afterwards(self, persistence: Persistence) -> None:
        attributes, message_ids = {"type": "one"}, ["m-1"]
        delivery = a_delivery(attributes=attributes)
        given = unit(Record(delivery), TakeInHand("crossdock", "order_events", 0, message_ids))
        committing = asyncio.create_task(persistence.commit(given))
        await asyncio.sleep(0)

        given.clear()
        await committing
        attributes["type"] = "two"
        message_ids.append("m-2")

        assert (await stored(persistence, delivery)).attributes == {"type": "one"}
        assert list(await persistence.ledger.in_hand("crossdock", "order_events", 0)) == ["m-1"]

    async def test_ping_is_answered(self, persistence: Persistence) -> None:
        await persistence.ping()

    async def test_what_a_process_announces_it_does_not_hear_itself(self, persistence: Persistence) -> None:
        heard: list[Lane] = []
        persistence.listen(heard.extend)

        persistence.announce([Lane.EVENT])
        persistence.announce(list(Lane))

        for _ in range(20):
            await commit(persistence, AddUser(a_user()))
        assert heard == []

    async def test_a_stopped_store_may_be_told_of_what_was_recorded(self, persistence: Persistence) -> None:
        await persistence.stop()

        persistence.announce([Lane.EVENT])

    async def test_a_stopped_store_is_unavailable(self, persistence: Persistence) -> None:
        await persistence.stop()
        await persistence.stop()

        with pytest.raises(Unavailable):
            await commit(persistence, AddUser(a_user()))
        with pytest.raises(Unavailable):
            await persistence.users.get(an_id())
        with pytest.raises(Unavailable):
            await persistence.ping()

    async def test_what_was_committed_is_there_when_it_is_opened_again(self, persistence: Persistence) -> None:
        user, delivery = a_user(), a_delivery()
        await commit(persistence, AddUser(user), Record(delivery))

        again = await self.reopened(persistence)

        assert await again.users.get(user.id) == user
        assert await again.ledger.get(delivery.id) is not None

    async def test_who_was_told_while_it_stopped_was_told_the_truth(self, persistence: Persistence) -> None:
        users = [a_user() for _ in range(20)]
        given = [asyncio.create_task(commit(persistence, AddUser(user))) for user in users]
        await asyncio.sleep(0)

        again = await self.reopened(persistence)

        outcomes = await asyncio.gather(*given, return_exceptions=True)
        for user, outcome in zip(users, outcomes, strict=True):
            written = await again.users.get(user.id) is not None
            assert isinstance(outcome, Unknown) or written is (outcome is None)

    async def test_stopping_leaves_nobody_waiting(self, persistence: Persistence) -> None:
        given = [asyncio.create_task(commit(persistence, AddUser(a_user()))) for _ in range(20)]
        await asyncio.sleep(0)

        await persistence.stop()

        outcomes = await asyncio.gather(*given, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, Unavailable) for outcome in outcomes)
