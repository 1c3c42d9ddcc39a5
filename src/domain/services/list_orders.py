from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.model.order import Order
from ports.persistence import Orders


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Orders, newest first; ``next_before`` is where the next page starts, or None on the last."""

    items: Sequence[Order]
    next_before: UUID | None


class ListOrders:
    """List orders, page by page."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def __call__(self, *, user_id: UUID | None, before: UUID | None, limit: int) -> OrderPage:
        """The newest ``limit`` orders placed before ``before``, of one user when given."""
        orders = await self._orders.page(user_id=user_id, before=before, limit=limit + 1)
        items = orders[:limit]
        return OrderPage(items, items[-1].id if len(orders) > limit else None)
