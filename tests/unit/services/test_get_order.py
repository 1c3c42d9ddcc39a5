import pytest

from adapters.persistence.memory import MemoryPersistence
from domain.model.errors import OrderNotFound
from domain.services.get_order import GetOrder
from domain.services.ownership import Ownership
from ports.persistence import AddOrder, AddUser
from tests.builders import a_user, an_id, an_order


async def test_an_order_is_found_by_its_id(persistence: MemoryPersistence) -> None:
    user = a_user()
    order = an_order(user=user)
    await persistence.commit([AddUser(user), AddOrder(order), AddOrder(an_order(user=user))])

    assert await GetOrder(persistence.orders, Ownership(persistence.users))(order.id) == order


async def test_an_unknown_id_is_told(persistence: MemoryPersistence) -> None:
    with pytest.raises(OrderNotFound):
        await GetOrder(persistence.orders, Ownership(persistence.users))(an_id())
