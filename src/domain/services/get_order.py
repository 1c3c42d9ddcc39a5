from uuid import UUID

from domain.model.errors import OrderNotFound
from domain.model.order import Order
from ports.persistence import Orders


class GetOrder:
    """Look up an order."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def __call__(self, id: UUID) -> Order:
        """The order; `OrderNotFound` when there is none."""
        order = await self._orders.get(id)
        if order is None:
            raise OrderNotFound
        return order
