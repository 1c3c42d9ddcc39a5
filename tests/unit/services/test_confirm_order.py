import pytest

from adapters.persistence.memory import MemoryPersistence
from domain.delivery.unit_of_work import Recording
from domain.model.errors import OrderNotFound
from domain.model.events import OrderConfirmed, OrderCreated
from domain.model.order import Order, OrderStatus
from domain.model.tasks import SendOrderConfirmation
from domain.services.confirm_order import ConfirmOrder
from ports.errors import Conflict
from ports.ids import Ids
from ports.persistence import AddOrder, AddUser
from tests.builders import a_user, an_id, an_order
from tests.clock import ManualClock
from tests.unit.services.recorded import events, tasks


@pytest.fixture
def confirm_order(clock: ManualClock, ids: Ids) -> ConfirmOrder:
    return ConfirmOrder(clock, ids)


@pytest.fixture
async def order(persistence: MemoryPersistence) -> Order:
    user = a_user()
    order = an_order(user=user)
    await persistence.commit([AddUser(user), AddOrder(order)])
    return order


def created(order: Order) -> OrderCreated:
    return OrderCreated.of(order, id=an_id())


async def test_a_placed_order_is_confirmed_and_it_is_told_and_a_mail_asked_for(
    confirm_order: ConfirmOrder,
    unit_of_work: Recording,
    order: Order,
    persistence: MemoryPersistence,
    clock: ManualClock,
) -> None:
    async with unit_of_work() as work:
        await confirm_order(created(order), work)
        await work.commit()

    confirmed = await persistence.orders.get(order.id)
    assert confirmed == order.confirm(clock.now())
    assert (confirmed.status, confirmed.version) == (OrderStatus.CONFIRMED, 2)
    (event,) = await events(persistence)
    assert isinstance(event, OrderConfirmed)
    assert event == OrderConfirmed.of(confirmed, id=event.id)
    assert event.sequence == 2
    (task,) = await tasks(persistence, clock)
    assert task == SendOrderConfirmation(id=task.id, order_id=order.id)


async def test_a_reaction_that_is_not_committed_has_no_effect(
    confirm_order: ConfirmOrder, unit_of_work: Recording, order: Order, persistence: MemoryPersistence
) -> None:
    async with unit_of_work() as work:
        await confirm_order(created(order), work)

    assert await persistence.orders.get(order.id) == order
    assert not await persistence.ledger.counts()


async def test_an_order_that_is_confirmed_already_stays_as_it_is(
    confirm_order: ConfirmOrder, unit_of_work: Recording, order: Order, persistence: MemoryPersistence
) -> None:
    for _ in range(2):
        async with unit_of_work() as work:
            await confirm_order(created(order), work)
            await work.commit()

    confirmed = await persistence.orders.get(order.id)
    assert confirmed is not None
    assert confirmed.version == 2
    assert len(await events(persistence)) == 1


async def test_of_two_that_confirm_at_once_one_has_read_stale_data(
    confirm_order: ConfirmOrder, unit_of_work: Recording, order: Order
) -> None:
    one, other = unit_of_work(), unit_of_work()
    await confirm_order(created(order), one)
    await confirm_order(created(order), other)
    await one.commit()

    with pytest.raises(Conflict):
        await other.commit()


async def test_an_order_that_this_service_does_not_have_is_told(
    confirm_order: ConfirmOrder, unit_of_work: Recording
) -> None:
    with pytest.raises(OrderNotFound):
        await confirm_order(created(an_order(user=a_user())), unit_of_work())
