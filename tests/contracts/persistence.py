"""What every persistence promises, whatever it is made of.

A subclass of `PersistenceContract` whose name starts with ``Test`` proves one adapter: it defines the fixtures
``clock`` and ``persistence``. Where time cannot be held in the hand (a database server's own) it overrides `let_pass`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from domain.model.email import Email
from domain.model.order import LINES_MOST, Order
from domain.model.user import Owner, User
from ports.deliveries import Delivery, Happening, Lane, State
from ports.errors import Conflict, Precondition, Rejected, Unavailable, Unknown
from ports.message import BODY_MOST
from ports.persistence import (
    ANSWER_MOST,
    AddOrder,
    AddUser,
    Advance,
    Answer,
    Block,
    HoldLease,
    KeepAnswer,
    LaneState,
    MarkSent,
    Persistence,
    Record,
    Remember,
    Remove,
    Replace,
    SaveOrder,
    Sought,
    Survey,
    TakeInHand,
    Traffic,
    Unblock,
    Write,
)
from tests.builders import NOON, a_delivery, a_line, a_received, a_task, a_user, an_email, an_id, an_order
from tests.clock import ManualClock

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# What a person or another system may send, and what has broken stores before.
AWKWARD = "a\r\n\t\\ 'quoted\" %s {} ñ 漢字 👩‍👩‍👧 🎉 \U0010ffff"
NUL = "a\x00b"


class PersistenceCases:
    """What cases are written with, and what an adapter gives to them."""

    keeps_nul: ClassVar[bool] = True  # in text; a store that cannot refuses it

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock that the adapter was given."""
        raise NotImplementedError

    @pytest.fixture
    def persistence(self, clock: ManualClock) -> AsyncIterator[Persistence] | Persistence:
        """A started adapter that holds nothing yet; a case may stop it."""
        raise NotImplementedError(f"give the adapter {clock} and start it")

    async def let_pass(self, clock: ManualClock, seconds: float) -> None:
        """Let time pass for the store."""
        await clock.advance(seconds)

    async def reopened(self, persistence: Persistence) -> Persistence:
        """The same store, closed and opened again."""
        await persistence.stop()
        await persistence.start()
        return persistence


# --- what the cases are written with ----------------------------------------------------------------------------------


async def commit(persistence: Persistence, *writes: Write) -> None:
    await persistence.commit(writes)


def unit(*writes: Write) -> list[Write]:
    return list(writes)


async def failing(attempt: Awaitable[None]) -> Precondition | None:
    """The precondition that did not hold; None when all did."""
    try:
        await attempt
    except Conflict as conflict:
        return conflict.precondition
    return None


async def race(persistence: Persistence, *units: Sequence[Write]) -> list[Precondition | None]:
    """Commit all of the units at once, by all kinds of traffic; what failed of each."""
    kinds = list(Traffic)
    return await asyncio.gather(
        *(failing(persistence.commit(unit, traffic=kinds[at % len(kinds)])) for at, unit in enumerate(units))
    )


def one_winner(outcomes: Sequence[Precondition | None], lost: Precondition) -> bool:
    return sorted(outcomes, key=str) == sorted([None, *[lost] * (len(outcomes) - 1)], key=str)


async def recorded(persistence: Persistence, *deliveries: Delivery) -> list[Delivery]:
    """Record these in one unit, in their order, and read them back."""
    await persistence.commit([Record(delivery) for delivery in deliveries])
    return [await stored(persistence, delivery) for delivery in deliveries]


async def stored(persistence: Persistence, delivery: Delivery) -> Delivery:
    row = await persistence.ledger.get(delivery.id)
    assert row is not None
    return row


async def states(persistence: Persistence, *deliveries: Delivery) -> list[State]:
    return [(await stored(persistence, delivery)).state for delivery in deliveries]


def ids(deliveries: Iterable[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def dead(delivery: Delivery) -> Delivery:
    return delivery.died("no such mailbox", NOON, attempts=1)


def change(delivery: Delivery, changed: Delivery) -> Replace:
    return Replace(changed, token=delivery.token)


def key_of(delivery: Delivery) -> str:
    assert delivery.ordering_key is not None
    return delivery.ordering_key


def an_answer(id: str = "a-1", **changes: Any) -> Answer:
    fresh = Answer(id, fingerprint="f-1", status=201, location="/orders/1", body=b'{"id":"1"}', at=NOON)
    return replace(fresh, **changes)


async def a_stored_user(persistence: Persistence, **changes: object) -> User:
    user = a_user(**changes)
    await commit(persistence, AddUser(user))
    return user


async def a_stored_order(persistence: Persistence) -> Order:
    user = a_user()
    order = an_order(user=user)
    await commit(persistence, AddUser(user), AddOrder(order))
    return order


async def a_dead_head(persistence: Persistence, head: Delivery, *followers: Delivery) -> list[Delivery]:
    """Record these; the first is dead and the others wait behind it."""
    rows = await recorded(persistence, head, *followers)
    await commit(persistence, change(rows[0], dead(rows[0])), Block(key_of(head)))
    return [await stored(persistence, row) for row in rows]


# --- users and orders -------------------------------------------------------------------------------------------------


class UsersContract(PersistenceCases):
    async def test_a_user_is_read_back_as_added(self, persistence: Persistence) -> None:
        named = a_user(name="Zoë O’Hara 👩‍🚀")
        nameless = a_user(name=None)

        await commit(persistence, AddUser(named))
        await commit(persistence, AddUser(nameless))

        assert await persistence.users.get(named.id) == named
        assert await persistence.users.get(nameless.id) == nameless

    async def test_a_user_nobody_added_is_none(self, persistence: Persistence) -> None:
        assert await persistence.users.get(an_id()) is None

    async def test_an_address_that_somebody_has_is_refused(self, persistence: Persistence) -> None:
        user = await a_stored_user(persistence, email=Email("ann@example.com"))
        other = a_user(email=Email(" ANN@Example.COM"))

        failed = await failing(commit(persistence, AddUser(other)))

        assert failed is Precondition.EMAIL_IS_NEW
        assert await persistence.users.get(other.id) is None
        assert await persistence.users.get(user.id) == user

    async def test_one_address_cannot_be_added_twice_in_one_unit(self, persistence: Persistence) -> None:
        email = an_email()
        one, other = a_user(email=email), a_user(email=email)

        failed = await failing(commit(persistence, AddUser(one), AddUser(other)))

        assert failed is Precondition.EMAIL_IS_NEW
        assert await persistence.users.get(one.id) is None

    async def test_a_user_id_that_is_taken_is_a_conflict(self, persistence: Persistence) -> None:
        user = await a_stored_user(persistence)

        failed = await failing(commit(persistence, AddUser(a_user(id=user.id))))

        assert failed is Precondition.VERSION_IS_CURRENT
        assert await persistence.users.get(user.id) == user


class OrdersContract(PersistenceCases):
    async def test_an_order_is_read_back_as_placed(self, persistence: Persistence) -> None:
        user = await a_stored_user(persistence)
        lines = [a_line(sku=f"sku-{number} 🫖", quantity=number, price=f"{number}.05") for number in (3, 1, 2)]
        order = an_order(*lines, user=user)

        await commit(persistence, AddOrder(order))

        assert await persistence.orders.get(order.id) == order

    async def test_an_order_nobody_placed_is_none(self, persistence: Persistence) -> None:
        assert await persistence.orders.get(an_id()) is None

    @pytest.mark.parametrize(
        ("currency", "price", "total"),
        [
            ("EUR", "999999999999.99", "999999999999990000.00"),  # more digits than a float or 64 bits can hold
            ("CLF", "999999999999.9999", "999999999999999900.0000"),
            ("KWD", "0.001", "1000.000"),
            ("JPY", "120", "120000000"),
            ("EUR", "0.00", "0.00"),
        ],
    )
    async def test_totals_are_kept_exactly(
        self, persistence: Persistence, currency: str, price: str, total: str
    ) -> None:
        user = await a_stored_user(persistence)
        order = an_order(*[a_line(quantity=10_000, price=price, currency=currency)] * LINES_MOST, user=user)

        await commit(persistence, AddOrder(order))

        kept = await persistence.orders.get(order.id)
        assert kept is not None
        assert (str(kept.lines[-1].unit_price), str(kept.total)) == (price, total)
        assert kept == order

    async def test_an_order_of_nobody_is_refused(self, persistence: Persistence) -> None:
        order = an_order(user=a_user())

        failed = await failing(commit(persistence, AddOrder(order)))

        assert failed is Precondition.USER_EXISTS
        assert await persistence.orders.get(order.id) is None

    async def test_an_order_may_come_with_its_user_in_one_unit(self, persistence: Persistence) -> None:
        user = a_user()
        order = an_order(user=user)

        await commit(persistence, AddUser(user), AddOrder(order))

        assert await persistence.orders.get(order.id) == order

    async def test_an_order_id_that_is_taken_is_a_conflict(self, persistence: Persistence) -> None:
        order = await a_stored_order(persistence)
        other = replace(order, created_at=order.created_at + HOUR)

        failed = await failing(commit(persistence, AddOrder(other)))

        assert failed is Precondition.VERSION_IS_CURRENT
        assert await persistence.orders.get(order.id) == order

    async def test_the_next_version_of_an_order_is_saved(self, persistence: Persistence) -> None:
        order = await a_stored_order(persistence)
        confirmed = order.confirm(NOON + SECOND)

        await commit(persistence, SaveOrder(confirmed))

        assert await persistence.orders.get(order.id) == confirmed

    @pytest.mark.parametrize("version", [1, 2, 4], ids=["older", "the same", "one left out"])
    async def test_any_other_version_than_the_next_is_a_conflict(self, persistence: Persistence, version: int) -> None:
        order = await a_stored_order(persistence)
        confirmed = order.confirm(NOON)
        await commit(persistence, SaveOrder(confirmed))

        failed = await failing(commit(persistence, SaveOrder(replace(order, version=version))))

        assert failed is Precondition.VERSION_IS_CURRENT
        assert await persistence.orders.get(order.id) == confirmed

    async def test_an_order_nobody_placed_cannot_be_saved(self, persistence: Persistence) -> None:
        order = an_order(user=await a_stored_user(persistence)).confirm(NOON)

        failed = await failing(commit(persistence, SaveOrder(order)))

        assert failed is Precondition.VERSION_IS_CURRENT
        assert await persistence.orders.get(order.id) is None

    async def test_a_page_has_the_newest_orders_first(self, persistence: Persistence) -> None:
        ann, bob = await a_stored_user(persistence), await a_stored_user(persistence)
        orders = [an_order(user=user, at=NOON + at * SECOND) for at, user in enumerate([ann, bob, ann, bob, ann])]
        for order in orders:
            await commit(persistence, AddOrder(order))

        everybodys = await persistence.orders.page(user_id=None, before=None, limit=10)
        anns = await persistence.orders.page(user_id=ann.id, before=None, limit=10)

        assert list(everybodys) == orders[::-1]
        assert list(anns) == orders[::-2]

    async def test_pages_follow_one_another_without_gap_or_overlap(self, persistence: Persistence) -> None:
        user = await a_stored_user(persistence)
        orders = [an_order(user=user) for _ in range(5)]  # placed in the same microsecond
        await commit(persistence, *[AddOrder(order) for order in orders])

        for user_id in (user.id, None):
            first = await persistence.orders.page(user_id=user_id, before=None, limit=2)
            second = await persistence.orders.page(user_id=user_id, before=first[-1].id, limit=2)
            third = await persistence.orders.page(user_id=user_id, before=second[-1].id, limit=2)
            nothing = await persistence.orders.page(user_id=user_id, before=third[-1].id, limit=2)

            assert [*first, *second, *third] == orders[::-1]
            assert list(nothing) == []

    async def test_a_user_without_orders_has_an_empty_page(self, persistence: Persistence) -> None:
        await a_stored_order(persistence)

        assert list(await persistence.orders.page(user_id=an_id(), before=None, limit=10)) == []

    async def test_a_user_comes_back_with_its_owner_or_without_one(self, persistence: Persistence) -> None:
        mine = a_user(owner=Owner("https://issuer.example/realms/ä", "auth0|ann 'quoted'"))
        nobodys = a_user()
        await commit(persistence, AddUser(mine), AddUser(nobodys))

        assert await persistence.users.get(mine.id) == mine
        assert await persistence.users.get(nobodys.id) == nobodys

    async def test_pages_of_an_owner_hold_the_orders_of_all_its_users_and_no_others(
        self, persistence: Persistence
    ) -> None:
        ann, eve = Owner("https://one.example", "ann"), Owner("https://one.example", "eve")
        same_name = Owner("https://two.example", "ann")
        users = [a_user(owner=owner) for owner in (ann, ann, eve, same_name, None)]
        await commit(persistence, *map(AddUser, users))
        orders = [an_order(user=user) for _ in range(3) for user in users]
        await commit(persistence, *map(AddOrder, orders))
        mine = [order for order in orders if order.user_id in {users[0].id, users[1].id}][::-1]

        whole = await persistence.orders.page_of_owner(ann, before=None, limit=10)
        first = await persistence.orders.page_of_owner(ann, before=None, limit=4)
        second = await persistence.orders.page_of_owner(ann, before=first[-1].id, limit=4)
        nothing = await persistence.orders.page_of_owner(ann, before=second[-1].id, limit=4)
        strangers = await persistence.orders.page_of_owner(Owner("https://one.example", "bob"), before=None, limit=4)

        assert list(whole) == mine
        assert [*first, *second] == mine
        assert list(nothing) == list(strangers) == []


# --- units of work ----------------------------------------------------------------------------------------------------


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


# --- the ledger -------------------------------------------------------------------------------------------------------


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


# --- receiving --------------------------------------------------------------------------------------------------------


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


# --- answers ----------------------------------------------------------------------------------------------------------


class AnswersContract(PersistenceCases):
    @pytest.mark.parametrize("body", [b"", b"\0\xff{}", b"x" * ANSWER_MOST], ids=["none", "any bytes", "the largest"])
    async def test_an_answer_is_read_back_as_it_was_kept(self, persistence: Persistence, body: bytes) -> None:
        answer = an_answer(body=body)

        await commit(persistence, KeepAnswer(answer))

        assert await persistence.answers.get(answer.id) == answer

    async def test_an_answer_that_nobody_was_given_is_none(self, persistence: Persistence) -> None:
        assert await persistence.answers.get("nothing") is None

    async def test_an_answer_is_kept_with_what_was_done_or_not_at_all(self, persistence: Persistence) -> None:
        taken = await a_stored_user(persistence)

        failed = await failing(commit(persistence, AddUser(a_user(email=taken.email)), KeepAnswer(an_answer())))

        assert failed is Precondition.EMAIL_IS_NEW
        assert await persistence.answers.get("a-1") is None

    async def test_what_has_an_answer_is_not_done_again(self, persistence: Persistence) -> None:
        first, order = an_answer(), an_order(user=await a_stored_user(persistence))
        await commit(persistence, KeepAnswer(first))

        failed = await failing(
            commit(persistence, AddOrder(order), KeepAnswer(an_answer(fingerprint="f-2", body=b"other")))
        )

        assert failed is Precondition.KEY_IS_NEW
        assert await persistence.orders.get(order.id) is None
        assert await persistence.answers.get("a-1") == first

    async def test_that_there_is_an_answer_is_told_before_all_that_the_same_unit_has_made_untrue(
        self, persistence: Persistence
    ) -> None:
        """Who sends a request again shall find its answer, and not that the address is taken by itself."""
        user = a_user()
        again = unit(AddUser(user), AddOrder(an_order(user=a_user())), KeepAnswer(an_answer()))
        await commit(persistence, AddUser(user), KeepAnswer(an_answer()))

        assert await failing(persistence.commit(again)) is Precondition.KEY_IS_NEW

    async def test_one_of_many_keeps_an_answer(self, persistence: Persistence) -> None:
        user = await a_stored_user(persistence)
        orders = [an_order(user=user) for _ in range(12)]

        outcomes = await race(persistence, *(unit(AddOrder(order), KeepAnswer(an_answer())) for order in orders))

        assert one_winner(outcomes, lost=Precondition.KEY_IS_NEW)
        placed = await persistence.orders.page(user_id=user.id, before=None, limit=100)
        assert [order.id for order in placed] == [orders[outcomes.index(None)].id]

    async def test_answers_of_many_at_once_are_all_kept(self, persistence: Persistence) -> None:
        answers = [an_answer(f"a-{number}") for number in range(100)]

        await race(persistence, *(unit(KeepAnswer(answer)) for answer in answers))

        assert [await persistence.answers.get(answer.id) for answer in answers] == answers

    async def test_answers_that_were_given_long_ago_are_forgotten(self, persistence: Persistence) -> None:
        old, new = an_answer("old", at=NOON - timedelta(microseconds=1)), an_answer("new", at=NOON)
        await commit(persistence, KeepAnswer(new), KeepAnswer(old))

        dropped = await persistence.answers.forget(before=NOON, limit=100)

        assert dropped == 1
        assert [await persistence.answers.get(id_) for id_ in ("old", "new")] == [None, new]
        await commit(persistence, KeepAnswer(old))

    async def test_no_more_answers_than_the_limit_are_forgotten_at_once(self, persistence: Persistence) -> None:
        await commit(persistence, *(KeepAnswer(an_answer(f"a-{number}")) for number in range(5)))

        dropped = [await persistence.answers.forget(before=NOON + DAY, limit=2) for _ in range(4)]

        assert dropped == [2, 2, 1, 0]


# --- leases -----------------------------------------------------------------------------------------------------------


class LeasesContract(PersistenceCases):
    async def test_what_is_free_can_be_taken(self, persistence: Persistence) -> None:
        fences = await persistence.leases.take(["relay/0", "relay/1"], holder="a", seconds=10)

        assert sorted(fences) == ["relay/0", "relay/1"]
        assert await persistence.leases.holders("relay/") == ["a"]

    async def test_what_another_holds_cannot_be_taken(self, persistence: Persistence) -> None:
        await persistence.leases.take(["relay/0"], holder="a", seconds=10)

        fences = await persistence.leases.take(["relay/0", "relay/1"], holder="b", seconds=10)

        assert list(fences) == ["relay/1"]

    async def test_what_is_ours_is_renewed_under_the_same_fence(
        self, persistence: Persistence, clock: ManualClock
    ) -> None:
        first = await persistence.leases.take(["relay/0"], holder="a", seconds=10)
        await self.let_pass(clock, 8)

        second = await persistence.leases.take(["relay/0"], holder="a", seconds=10)

        await self.let_pass(clock, 8)
        assert second == first
        assert await persistence.leases.take(["relay/0"], holder="b", seconds=10) == {}
        await commit(persistence, HoldLease("relay/0", "a", second["relay/0"]))

    async def test_a_lease_runs_out(self, persistence: Persistence, clock: ManualClock) -> None:
        old = await persistence.leases.take(["relay/0"], holder="a", seconds=10)

        await self.let_pass(clock, 11)

        assert list(await persistence.leases.holders("")) == []
        new = await persistence.leases.take(["relay/0"], holder="b", seconds=10)
        assert new["relay/0"] > old["relay/0"]

    async def test_what_was_let_go_is_free_at_once(self, persistence: Persistence) -> None:
        old = await persistence.leases.take(["relay/0", "relay/1"], holder="a", seconds=10)

        await persistence.leases.release(["relay/0", "nothing"], holder="a")

        new = await persistence.leases.take(["relay/0", "relay/1"], holder="b", seconds=10)
        assert list(new) == ["relay/0"]
        assert new["relay/0"] > old["relay/0"]

    async def test_nobody_lets_go_of_what_another_holds(self, persistence: Persistence) -> None:
        await persistence.leases.take(["relay/0"], holder="a", seconds=10)

        await persistence.leases.release(["relay/0"], holder="b")

        assert await persistence.leases.take(["relay/0"], holder="b", seconds=10) == {}

    async def test_the_fence_grows_with_every_change_of_holder(
        self, persistence: Persistence, clock: ManualClock
    ) -> None:
        fences = []
        for holder in ("a", "b", "a", "b"):
            fences.append((await persistence.leases.take(["relay/0"], holder=holder, seconds=10))["relay/0"])
            await self.let_pass(clock, 11)

        assert fences == sorted(set(fences))

    async def test_one_of_many_takes_a_lease(self, persistence: Persistence) -> None:
        takes = [persistence.leases.take(["relay/0"], holder=f"process-{number}", seconds=10) for number in range(9)]

        fences = await asyncio.gather(*takes)

        (holder,) = [f"process-{number}" for number, taken in enumerate(fences) if taken]
        assert await persistence.leases.holders("relay/") == [holder]

    async def test_leases_taken_in_opposite_order_do_not_stop_each_other(self, persistence: Persistence) -> None:
        names = [f"relay/{number}" for number in range(20)]
        orders = [names, names[::-1]] * 3

        fences = await asyncio.gather(
            *(
                persistence.leases.take(order, holder=f"process-{number}", seconds=10)
                for number, order in enumerate(orders)
            )
        )

        assert sorted(name for taken in fences for name in taken) == sorted(names)

    async def test_holders_are_named_once_in_order_and_by_prefix(
        self, persistence: Persistence, clock: ManualClock
    ) -> None:
        await persistence.leases.take(["relay_/7"], holder="gone", seconds=5)
        await self.let_pass(clock, 6)
        await persistence.leases.take(["relay_/0", "relay_/1"], holder="b", seconds=10)
        await persistence.leases.take(["relay_/2"], holder="a", seconds=10)
        await persistence.leases.take(["relayX/0", "relay%/0", "Relay_/0"], holder="other", seconds=10)
        await persistence.leases.take(["relay_/3"], holder="let-go", seconds=10)
        await persistence.leases.release(["relay_/3"], holder="let-go")

        assert list(await persistence.leases.holders("relay_/")) == ["a", "b"]
        assert list(await persistence.leases.holders("")) == ["a", "b", "other"]
        assert list(await persistence.leases.holders("nothing")) == []

    async def test_who_holds_the_lease_may_commit(self, persistence: Persistence) -> None:
        fences = await persistence.leases.take(["relay/0"], holder="a", seconds=10)
        delivery = a_delivery()

        await commit(persistence, HoldLease("relay/0", "a", fences["relay/0"]), Record(delivery))

        assert await persistence.ledger.get(delivery.id) is not None

    async def test_who_does_not_hold_the_lease_may_not_commit(
        self, persistence: Persistence, clock: ManualClock
    ) -> None:
        fence = (await persistence.leases.take(["relay/0"], holder="a", seconds=10))["relay/0"]

        others = [
            HoldLease("relay/0", "b", fence),
            HoldLease("relay/0", "a", fence - 1),
            HoldLease("relay/0", "a", fence + 1),
            HoldLease("relay/1", "a", fence),
        ]
        outcomes = await race(persistence, *([other] for other in others))
        await self.let_pass(clock, 11)
        late = await failing(commit(persistence, HoldLease("relay/0", "a", fence)))

        assert [*outcomes, late] == [Precondition.LEASE_IS_HELD] * 5

    async def test_a_former_holder_may_not_commit(self, persistence: Persistence, clock: ManualClock) -> None:
        """It may have slept through the end of its lease, and its work may meanwhile be done by another."""
        old = await persistence.leases.take(["relay/0"], holder="a", seconds=10)
        await self.let_pass(clock, 11)
        new = await persistence.leases.take(["relay/0"], holder="b", seconds=10)
        delivery = a_delivery()

        failed = await failing(commit(persistence, HoldLease("relay/0", "a", old["relay/0"]), Record(delivery)))

        assert failed is Precondition.LEASE_IS_HELD
        assert await persistence.ledger.get(delivery.id) is None
        await commit(persistence, HoldLease("relay/0", "b", new["relay/0"]), Record(delivery))


class PersistenceContract(
    UsersContract,
    OrdersContract,
    CommitContract,
    LedgerContract,
    BlockingContract,
    PublishingContract,
    DueContract,
    DeskContract,
    ReceivingContract,
    AnswersContract,
    LeasesContract,
):
    """All of it."""
