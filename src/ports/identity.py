"""Who is calling."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from domain.model.user import Owner

OPERATOR = "operator"  # the scope that may do everything
SCOPES = ("users:read", "users:write", "orders:read", "orders:write", "weather:read", OPERATOR)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whom an issuer vouches for: known as ``subject`` to ``issuer``, and allowed what ``scopes`` say."""

    issuer: str
    subject: str
    scopes: frozenset[str]

    @property
    def operates(self) -> bool:
        """Whether this is an operator, to whom everything belongs."""
        return OPERATOR in self.scopes

    @property
    def owner(self) -> Owner:
        """As the owner of what is registered now."""
        return Owner(self.issuer, self.subject)

    def may(self, scope: str) -> bool:
        """Whether this is allowed."""
        return scope in self.scopes or OPERATOR in self.scopes


@dataclass(frozen=True, slots=True)
class SignIn:
    """Where a person can get a token with a browser (the authorization code flow), and the scopes that are known there.

    An issuer need not tell all its scopes.
    """

    authorization_url: str
    token_url: str
    scopes: frozenset[str] = frozenset()


class InvalidToken(Exception):
    """The token does not say who is calling.

    The message says why, for the caller: it is one of a few sentences and quotes nothing of the token.
    """


class Identity(ABC):
    """Tells who sent a token. May be asked by many at once."""

    wants_tokens: bool = True
    """Whether a caller needs a token at all."""

    @property
    def trouble(self) -> str | None:
        """What is wrong with the issuer of the tokens, as far as is known; None while all is well. Asks nobody."""
        return None

    @property
    def sign_in(self) -> SignIn | None:
        """Where to get a token with a browser, as soon as that is known."""
        return None

    async def start(self) -> None:  # noqa: B027 - some have nothing to do
        """Get ready; returns soon and without an error, also when the issuer is away."""

    async def stop(self) -> None:  # noqa: B027
        """Let go of what is held."""

    async def ping(self) -> None:  # noqa: B027
        """Return when tokens can be checked; `Unavailable` when not."""

    @abstractmethod
    async def identify(self, token: str) -> Principal:
        """Whom this token is of.

        Raises `InvalidToken`, or `Unavailable` when that cannot be told now because the issuer could not be asked yet.
        Ends by its own deadline.
        """
