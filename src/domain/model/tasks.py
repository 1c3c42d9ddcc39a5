"""Work that is asked for, in the imperative.

A task carries ids, never the data behind them: the work reads what is current, and nobody's address lies in a queue.
`TASK_TYPES` lists every task; what performs each is wired in the container.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol, Self
from uuid import UUID

from domain.model.identity import Identity
from domain.model.value import value


class Task(Protocol):
    """One piece of work, performed at least once."""

    name: ClassVar[str]

    @property
    def id(self) -> UUID:
        """Unique; whatever the work sends out derives its own id from it."""

    @property
    def subject(self) -> str:
        """What it is about, for the operator; tasks wait for nobody."""

    def data(self) -> dict[str, object]:
        """Its content as JSON values."""

    @classmethod
    def from_data(cls, data: Mapping[str, object], *, id: UUID) -> Self:
        """The task again; `KeyError`, `TypeError` or `ValueError` when the data are not of this task."""


@value(kw_only=True)
class SendWelcomeEmail:
    """Greet a user who has registered."""

    name: ClassVar[str] = "send_welcome_email"

    id: UUID
    user_id: UUID

    @property
    def subject(self) -> str:
        return str(self.user_id)

    def data(self) -> dict[str, object]:
        return {"user_id": str(self.user_id)}

    @classmethod
    def from_data(cls, data: Mapping[str, object], *, id: UUID) -> Self:
        return cls(id=id, user_id=Identity(str(data["user_id"])))


@value(kw_only=True)
class SendOrderConfirmation:
    """Tell a user that an order is confirmed."""

    name: ClassVar[str] = "send_order_confirmation"

    id: UUID
    order_id: UUID

    @property
    def subject(self) -> str:
        return str(self.order_id)

    def data(self) -> dict[str, object]:
        return {"order_id": str(self.order_id)}

    @classmethod
    def from_data(cls, data: Mapping[str, object], *, id: UUID) -> Self:
        return cls(id=id, order_id=Identity(str(data["order_id"])))


TASK_TYPES: tuple[type[Task], ...] = (SendWelcomeEmail, SendOrderConfirmation)
