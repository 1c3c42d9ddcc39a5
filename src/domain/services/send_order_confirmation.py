from domain.model.errors import OrderNotFound, UserNotFound
from domain.model.tasks import SendOrderConfirmation as Task
from ports.mailer import Mail, Mailer
from ports.persistence import Orders, Users


class SendOrderConfirmation:
    """Tell a user that an order is confirmed."""

    def __init__(self, users: Users, orders: Orders, mailer: Mailer) -> None:
        self._users = users
        self._orders = orders
        self._mailer = mailer

    async def __call__(self, task: Task) -> None:
        """Raises `OrderNotFound`, `UserNotFound`, and what the mailer raises."""
        order = await self._orders.get(task.order_id)
        if order is None:
            raise OrderNotFound
        user = await self._users.get(order.user_id)
        if user is None:
            raise UserNotFound
        lines = "\n".join(f"  {line.quantity} x {line.sku} at {line.unit_price}" for line in order.lines)
        await self._mailer.send(
            Mail(
                message_id=f"<{task.id}@crossdock>",
                to=user.email,
                subject=f"Your order {order.id} is confirmed",
                text=(
                    f"Hello {user.name or user.email},\n\n"
                    f"your order {order.id} is confirmed:\n\n{lines}\n\nTotal: {order.total} {order.currency}\n"
                ),
            )
        )
