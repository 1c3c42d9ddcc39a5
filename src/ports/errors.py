"""The errors that cross a port.

PortError
├── Unavailable    later may work: a network, a server, a limit
├── Rejected       as it stands, never will
└── (persistence)
    ├── Conflict   a precondition of the commit does not hold
    └── Unknown    the connection died in commit; nobody retries it blindly

A driver has one table from its library's exceptions to these and chains the cause. Messages are for operators: they
name the service and what to look at, and never hold a secret.
"""

from enum import StrEnum

from ports.trouble import Cause, Trouble


class PortError(Exception):
    """What an adapter may raise."""

    cause = Cause.OUT_OF_REACH

    @property
    def trouble(self) -> Trouble:
        """The same, for whoever tells how things are."""
        return Trouble(self.cause, str(self))


class Unavailable(PortError):
    """The other side cannot be reached or cannot answer now; the same call may work later.

    ``retry_after`` is in seconds, when the other side said so.
    """

    def __init__(self, detail: str, *, retry_after: float | None = None, cause: Cause = Cause.OUT_OF_REACH) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.cause = cause


class Rejected(PortError):
    """The other side will never accept this as it stands."""

    cause = Cause.REFUSED


class Precondition(StrEnum):
    """What a commit may require; a `Conflict` names the one that did not hold."""

    KEY_IS_NEW = "key is new"
    EMAIL_IS_NEW = "email is new"
    USER_EXISTS = "user exists"
    VERSION_IS_CURRENT = "version is current"
    MESSAGE_IS_NEW = "message is new"
    LANE_IS_CURRENT = "lane is current"
    TOKEN_IS_CURRENT = "token is current"  # noqa: S105 - the token of a delivery, no secret
    LEASE_IS_HELD = "lease is held"


class Conflict(PortError):
    """A precondition of the commit does not hold; nothing of the unit of work was written."""

    def __init__(self, precondition: Precondition) -> None:
        super().__init__(f"precondition failed: {precondition}")
        self.precondition = precondition


class Unknown(PortError):
    """The connection died while committing: the unit of work was written whole or not at all, which is not known."""

    def __init__(self, detail: str, *, cause: Cause = Cause.OUT_OF_REACH) -> None:
        super().__init__(detail)
        self.cause = cause
