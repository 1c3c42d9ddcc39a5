from decimal import Decimal

import pytest

from adapters.persistence.memory import MemoryPersistence
from domain.delivery.unit_of_work import Recording
from domain.model.errors import InvalidValue, UnknownUser
from domain.model.events import OrderCreated
from domain.model.money import Money
from domain.model.order import OrderStatus
from domain.services.create_order import CreateOrder
from domain.services.ownership import Ownership
from ports.ids import Ids
from ports.persistence import AddUser
from tests.builders import a_line, a_user, an_id
from tests.clock import ManualClock
from tests.unit.services.recorded import events, tasks


@pytest.fixture
def create_order(unit_of_work: Recording, clock: ManualClock, ids: Ids, persistence: MemoryPersistence) -> CreateOrder:
    return CreateOrder(unit_of_work, clock, ids, Ownership(persistence.users))


async def test_an_order_is_placed_and_it_is_told(
    create_order: CreateOrder, persistence: MemoryPersistence, clock: ManualClock
) -> None:
    user = a_user()
    await persistence.commit([AddUser(user)])

    order = await create_order(user.id, "EUR", (a_line(quantity=3, price="0.10"), a_line(price="9.90")))

    assert (order.status, order.created_at, order.version) == (OrderStatus.PLACED, clock.now(), 1)
    assert order.total == Money(Decimal("20.10"), "EUR")
    assert await persistence.orders.get(order.id) == order
    (event,) = await events(persistence)
    assert isinstance(event, OrderCreated)
    assert event == OrderCreated.of(order, id=event.id)
    assert not await tasks(persistence, clock)


async def test_an_order_of_nobody_is_refused_and_nothing_is_recorded(
    create_order: CreateOrder, persistence: MemoryPersistence
) -> None:
    with pytest.raises(UnknownUser):
        await create_order(an_id(), "EUR", (a_line(),))

    assert not await persistence.ledger.counts()


@pytest.mark.parametrize(
    ("currency", "lines", "pointer"),
    [
        ("EUR", (), "/lines"),
        ("EUR", (a_line(),) * 101, "/lines"),
        ("EUR", (a_line(), a_line(currency="USD")), "/lines/1/unit_price"),
    ],
    ids=["none", "too many", "mixed currencies"],
)
async def test_impossible_lines_are_refused_with_their_place(
    create_order: CreateOrder, currency: str, lines: tuple[object, ...], pointer: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await create_order(an_id(), currency, lines)  # type: ignore[arg-type]

    assert refused.value.pointer == pointer
