from collections import OrderedDict
from uuid import UUID

from domain.model.user import Owner
from ports.identity import Principal
from ports.persistence import Users

REMEMBERED_MOST = 10_000


class Ownership:
    """Know which users belong to whom.

    An owner never changes, so it is remembered: whoever works with one user over and over costs one look-up.
    """

    def __init__(self, users: Users) -> None:
        self._users = users
        self._owners: OrderedDict[UUID, Owner | None] = OrderedDict()

    async def covers(self, caller: Principal | None, user_id: UUID) -> bool:
        """Whether this user is the caller's to work with; every one is an operator's, and everybody's without callers.

        Not one that does not exist, unless it would not matter.
        """
        if caller is None or caller.operates:
            return True
        if user_id not in self._owners:
            user = await self._users.get(user_id)
            if user is None:
                return False
            self._owners[user_id] = user.owner
            if len(self._owners) > REMEMBERED_MOST:
                self._owners.popitem(last=False)
        return self._owners[user_id] == caller.owner
