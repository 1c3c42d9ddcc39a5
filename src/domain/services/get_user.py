from uuid import UUID

from domain.model.errors import UserNotFound
from domain.model.user import User
from ports.persistence import Users


class GetUser:
    """Look up a user."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def __call__(self, id: UUID) -> User:
        """The user; `UserNotFound` when there is none."""
        user = await self._users.get(id)
        if user is None:
            raise UserNotFound
        return user
