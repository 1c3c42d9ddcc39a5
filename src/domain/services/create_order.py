from uuid import UUID

from domain.model.events import OrderCreated
from domain.model.order import Order, OrderLine
from ports.clock import Clock
from ports.ids import Ids
from ports.persistence import UnitsOfWork


class CreateOrder:
    """Place an order and tell that it was placed."""

    def __init__(self, unit_of_work: UnitsOfWork, clock: Clock, ids: Ids) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock
        self._ids = ids

    async def __call__(self, user_id: UUID, currency: str, lines: tuple[OrderLine, ...]) -> Order:
        """The placed order; `UnknownUser` when there is no such user, `InvalidValue` for impossible lines."""
        order = Order.place(id=self._ids.new(), user_id=user_id, currency=currency, lines=lines, at=self._clock.now())
        async with self._unit_of_work() as work:
            work.orders.add(order)
            work.publish(OrderCreated.of(order, id=self._ids.new()))
            await work.commit()
        return order
