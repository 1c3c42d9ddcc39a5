from uuid import UUID

from domain.model.errors import OrderNotFound
from domain.model.order import Order
from domain.services.ownership import Ownership
from ports.identity import Principal
from ports.persistence import Orders


class GetOrder:
    """Look up an order."""

    def __init__(self, orders: Orders, ownership: Ownership) -> None:
        self._orders = orders
        self._ownership = ownership

    async def __call__(self, id: UUID, caller: Principal | None = None) -> Order:
        """The order; `OrderNotFound` when there is none, or none of a user of the caller's."""
        order = await self._orders.get(id)
        if order is None or not (caller is None or await self._ownership.covers(caller, order.user_id)):
            raise OrderNotFound
        return order
