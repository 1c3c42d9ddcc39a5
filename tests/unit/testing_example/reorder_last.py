from uuid import UUID

from domain.model.errors import OrderNotFound
from domain.model.events import OrderCreated
from domain.model.order import Order
from ports.clock import Clock
from ports.ids import Ids
from ports.persistence import Orders, UnitsOfWork


class ReorderLast:
    """Place the latest order of a user again."""

    def __init__(self, orders: Orders, unit_of_work: UnitsOfWork, clock: Clock, ids: Ids) -> None:
        self._orders = orders
        self._unit_of_work = unit_of_work
        self._clock = clock
        self._ids = ids

    async def __call__(self, user_id: UUID) -> Order:
        """The new order; `OrderNotFound` when the user has none."""
        latest = await self._orders.page(user_id=user_id, before=None, limit=1)
        if not latest:
            raise OrderNotFound
        currency, lines = latest[0].currency, latest[0].lines
        order = Order.place(id=self._ids.new(), user_id=user_id, currency=currency, lines=lines, at=self._clock.now())
        async with self._unit_of_work() as work:
            work.orders.add(order)
            work.publish(OrderCreated.of(order, id=self._ids.new()))
            await work.commit()
        return order
