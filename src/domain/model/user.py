"""A registered user."""

from datetime import datetime
from uuid import UUID

from domain.model.email import Email
from domain.model.errors import InvalidValue
from domain.model.text import one_line
from domain.model.value import value

NAME_MOST = 100


@value
class Owner:
    """Who registered a user: somebody known as ``subject`` to ``issuer``."""

    issuer: str
    subject: str


@value(kw_only=True)
class User:
    """Someone who may place orders.

    ``name`` is optional. ``owner`` never changes; None when callers did not say who they were.
    ``version`` counts the changes of this user, from 1, and is the sequence of the event that
    tells of the latest.
    """

    id: UUID
    email: Email
    name: str | None
    registered_at: datetime
    version: int = 1
    owner: Owner | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            try:
                object.__setattr__(self, "name", one_line(self.name, what="A name", most=NAME_MOST))
            except InvalidValue as error:
                raise error.inside("/name") from None
