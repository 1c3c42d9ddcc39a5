from collections.abc import Callable
from uuid import UUID

from domain.model.errors import UnknownUser
from domain.model.events import OrderCreated
from domain.model.order import Order, OrderLine
from domain.services.ownership import Ownership
from ports.clock import Clock
from ports.identity import Principal
from ports.ids import Ids
from ports.persistence import Answer, UnitsOfWork


class CreateOrder:
    """Place an order and tell that it was placed."""

    def __init__(self, unit_of_work: UnitsOfWork, clock: Clock, ids: Ids, ownership: Ownership) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock
        self._ids = ids
        self._ownership = ownership

    async def __call__(
        self,
        user_id: UUID,
        currency: str,
        lines: tuple[OrderLine, ...],
        caller: Principal | None = None,
        *,
        answer: Callable[[Order], Answer] | None = None,
    ) -> Order:
        """The placed order.

        `UnknownUser` when there is no such user, or none of the caller's; `InvalidValue` for impossible lines.
        ``answer`` says what is kept with the order; nothing is placed, and `Conflict` is raised, when that is there.
        """
        if caller is not None and not await self._ownership.covers(caller, user_id):
            raise UnknownUser
        order = Order.place(id=self._ids.new(), user_id=user_id, currency=currency, lines=lines, at=self._clock.now())
        async with self._unit_of_work() as work:
            if answer is not None:
                work.keep(answer(order))
            work.orders.add(order)
            work.publish(OrderCreated.of(order, id=self._ids.new()))
            await work.commit()
        return order
