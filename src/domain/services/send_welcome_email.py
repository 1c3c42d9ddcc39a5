from domain.model.errors import UserNotFound
from domain.model.tasks import SendWelcomeEmail as Task
from ports.mailer import Mail, Mailer
from ports.persistence import Users


class SendWelcomeEmail:
    """Greet a user who has registered."""

    def __init__(self, users: Users, mailer: Mailer) -> None:
        self._users = users
        self._mailer = mailer

    async def __call__(self, task: Task) -> None:
        """Raises `UserNotFound`, and what the mailer raises."""
        user = await self._users.get(task.user_id)
        if user is None:
            raise UserNotFound
        await self._mailer.send(
            Mail(
                message_id=f"<{task.id}@crossdock>",
                to=user.email,
                subject="Welcome",
                text=f"Hello {user.name or user.email},\n\nyour account is ready.\n",
            )
        )
