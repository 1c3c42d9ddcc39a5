"""What is promised of users and orders."""

from dataclasses import replace

import pytest

from domain.model.email import Email
from domain.model.order import LINES_MOST
from domain.model.user import Owner
from ports.errors import Precondition
from ports.persistence import AddOrder, AddUser, Persistence, SaveOrder
from tests.builders import NOON, a_line, a_user, an_email, an_id, an_order
from tests.contracts.persistence_parts.cases import (
    HOUR,
    SECOND,
    PersistenceCases,
    a_stored_order,
    a_stored_user,
    commit,
    failing,
)


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
