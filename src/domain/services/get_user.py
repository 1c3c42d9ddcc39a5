from uuid import UUID

from domain.model.errors import UserNotFound
from domain.model.user import User
from ports.identity import Principal
from ports.persistence import Users


class GetUser:
    """Look up a user."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def __call__(self, id: UUID, caller: Principal | None = None) -> User:
        """The user; `UserNotFound` when there is none, or none of the caller's."""
        user = await self._users.get(id)
        if user is None or not (caller is None or caller.operates or user.owner == caller.owner):
            raise UserNotFound
        return user
