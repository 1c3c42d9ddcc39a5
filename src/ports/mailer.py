"""Mail to users."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from domain.model.email import Email


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A plain text mail.

    ``message_id`` is the same for every attempt at the same mail, so that a mailbox that gets it twice can tell.
    ``subject`` is one line.
    """

    message_id: str
    to: Email
    subject: str
    text: str


class Mailer(ABC):
    """Hands mail to whoever delivers it."""

    async def ping(self) -> None:  # noqa: B027 - some are nowhere else
        """Return when the server has let us in, without a mail; `Unavailable` or `Rejected` when not."""

    @abstractmethod
    async def send(self, mail: Mail) -> None:
        """Return when the mail has been accepted for delivery.

        Raises `Unavailable` when the server cannot take it now, `Rejected` when it never will (no such mailbox). Tries
        once. May be called by many at once.
        """
