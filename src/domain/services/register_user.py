from collections.abc import Callable

from domain.model.email import Email
from domain.model.events import UserRegistered
from domain.model.tasks import SendWelcomeEmail
from domain.model.user import User
from ports.clock import Clock
from ports.identity import Principal
from ports.ids import Ids
from ports.persistence import Answer, UnitsOfWork


class RegisterUser:
    """Register a user and ask for the welcome mail."""

    def __init__(self, unit_of_work: UnitsOfWork, clock: Clock, ids: Ids) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock
        self._ids = ids

    async def __call__(
        self,
        email: Email,
        name: str | None,
        caller: Principal | None = None,
        *,
        answer: Callable[[User], Answer] | None = None,
    ) -> User:
        """The new user, who belongs to the caller; `EmailAlreadyRegistered` when the address is taken.

        ``answer`` says what is kept with the user; nobody is registered, and `Conflict` is raised, when that is there.
        """
        owner = None if caller is None else caller.owner
        user = User(id=self._ids.new(), email=email, name=name, registered_at=self._clock.now(), owner=owner)
        async with self._unit_of_work() as work:
            if answer is not None:
                work.keep(answer(user))
            work.users.add(user)
            work.publish(UserRegistered.of(user, id=self._ids.new()))
            work.enqueue(SendWelcomeEmail(id=self._ids.new(), user_id=user.id))
            await work.commit()
        return user
