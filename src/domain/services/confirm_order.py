from domain.model.errors import OrderNotFound
from domain.model.events import OrderConfirmed, OrderCreated
from domain.model.order import OrderStatus
from domain.model.tasks import SendOrderConfirmation
from ports.clock import Clock
from ports.ids import Ids
from ports.persistence import UnitOfWork


class ConfirmOrder:
    """React to a placed order: confirm it, tell so, and ask for the confirmation mail.

    Works inside a unit of work that the receiver commits together with the note that the event was handled.
    """

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    async def __call__(self, event: OrderCreated, work: UnitOfWork) -> None:
        """Raises `OrderNotFound` for an order that this service does not have."""
        order = await work.orders.get(event.order_id)
        if order is None:
            raise OrderNotFound
        if order.status is OrderStatus.CONFIRMED:
            return
        order = order.confirm(self._clock.now())
        work.orders.save(order)
        work.publish(OrderConfirmed.of(order, id=self._ids.new()))
        work.enqueue(SendOrderConfirmation(id=self._ids.new(), order_id=order.id))
