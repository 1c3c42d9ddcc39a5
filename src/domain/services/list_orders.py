from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.model.order import Order
from domain.services.ownership import Ownership
from ports.identity import Principal
from ports.persistence import Orders


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Orders, newest first; ``next_before`` is where the next page starts, or None on the last."""

    items: Sequence[Order]
    next_before: UUID | None


class ListOrders:
    """List orders, page by page."""

    def __init__(self, orders: Orders, ownership: Ownership) -> None:
        self._orders = orders
        self._ownership = ownership

    async def __call__(
        self, *, user_id: UUID | None, before: UUID | None, limit: int, caller: Principal | None = None
    ) -> OrderPage:
        """The newest ``limit`` orders placed before ``before``: of the caller's users only, and of one when given."""
        if caller is None or caller.operates:
            orders = await self._orders.page(user_id=user_id, before=before, limit=limit + 1)
        elif user_id is None:
            orders = await self._orders.page_of_owner(caller.owner, before=before, limit=limit + 1)
        elif await self._ownership.covers(caller, user_id):
            orders = await self._orders.page(user_id=user_id, before=before, limit=limit + 1)
        else:
            orders = ()
        items = orders[:limit]
        return OrderPage(items, items[-1].id if len(orders) > limit else None)
