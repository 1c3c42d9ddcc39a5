from uuid import UUID

import pytest

from adapters.persistence.memory import MemoryPersistence
from domain.model.order import Order
from domain.model.user import User
from domain.services.list_orders import ListOrders
from domain.services.ownership import Ownership
from ports.persistence import AddOrder, AddUser
from tests.builders import a_user, an_order


@pytest.fixture
async def user(persistence: MemoryPersistence) -> User:
    user = a_user()
    await persistence.commit([AddUser(user)])
    return user


async def place(persistence: MemoryPersistence, user: User, number: int) -> list[Order]:
    """Orders, newest first."""
    orders = [an_order(user=user) for _ in range(number)]
    await persistence.commit([AddOrder(order) for order in orders])
    return orders[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
async def test_pages_give_every_order_once_newest_first(persistence: MemoryPersistence, user: User, limit: int) -> None:
    orders = await place(persistence, user, 7)
    list_orders = ListOrders(persistence.orders, Ownership(persistence.users))
    seen: list[Order] = []
    before: UUID | None = None

    while True:
        page = await list_orders(user_id=None, before=before, limit=limit)
        seen += page.items
        assert len(page.items) <= limit
        before = page.next_before
        if before is None:
            break

    assert seen == orders


async def test_a_last_page_that_is_full_is_the_last(persistence: MemoryPersistence, user: User) -> None:
    await place(persistence, user, 4)

    page = await ListOrders(persistence.orders, Ownership(persistence.users))(user_id=None, before=None, limit=4)

    assert (len(page.items), page.next_before) == (4, None)


async def test_only_the_orders_of_one_user_are_listed_when_asked(persistence: MemoryPersistence, user: User) -> None:
    other = a_user()
    await persistence.commit([AddUser(other)])
    mine = await place(persistence, user, 3)
    await place(persistence, other, 3)

    page = await ListOrders(persistence.orders, Ownership(persistence.users))(user_id=user.id, before=None, limit=10)

    assert list(page.items) == mine


async def test_orders_placed_meanwhile_move_nothing(persistence: MemoryPersistence, user: User) -> None:
    older = await place(persistence, user, 4)
    list_orders = ListOrders(persistence.orders, Ownership(persistence.users))
    first = await list_orders(user_id=None, before=None, limit=2)
    await place(persistence, user, 3)

    second = await list_orders(user_id=None, before=first.next_before, limit=2)

    assert [*first.items, *second.items] == older


async def test_there_may_be_none(persistence: MemoryPersistence) -> None:
    page = await ListOrders(persistence.orders, Ownership(persistence.users))(user_id=None, before=None, limit=10)

    assert (list(page.items), page.next_before) == ([], None)
