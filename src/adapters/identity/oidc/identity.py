"""Tokens of an OpenID Connect issuer: Keycloak, Auth0, Firebase and whoever else signs JSON Web Tokens."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Final

from adapters.http_client import HttpClient
from adapters.identity.oidc.issuer import Issuer
from adapters.identity.oidc.scopes import scopes_in
from adapters.identity.oidc.tokens import TokenCheck
from ports.clock import Clock
from ports.errors import Unavailable
from ports.identity import Identity, InvalidToken, Principal, SignIn

REMEMBERED_SECONDS: Final = 30.0
REMEMBERED_MOST: Final = 4_096


class OidcIdentity(Identity):
    """Believes what ``issuer`` has signed for ``audience``.

    ``scope_claims`` are paths to the claims that say what is allowed, ``default_scopes`` what everybody is. ``leeway``
    is in seconds, for clocks that differ. What a token was found to say is remembered for a moment under its digest, so
    that a caller who sends it again costs next to nothing; the token itself is kept nowhere.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        algorithms: Collection[str],
        leeway: int,
        scope_claims: Sequence[str],
        default_scopes: Collection[str],
        http: HttpClient,
        clock: Clock,
    ) -> None:
        self._issuer = Issuer(issuer, http=http, clock=clock)
        self._check = TokenCheck(issuer=issuer, audience=audience, algorithms=algorithms, leeway=leeway)
        self._leeway = leeway
        self._scope_claims = tuple(scope_claims)
        self._default_scopes = frozenset(default_scopes)
        self._http = http
        self._clock = clock
        self._remembered: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    @property
    def trouble(self) -> str | None:
        return self._issuer.trouble

    @property
    def sign_in(self) -> SignIn | None:
        return self._issuer.sign_in

    async def start(self) -> None:
        await self._http.start()
        await self._issuer.start()

    async def stop(self) -> None:
        await self._issuer.stop()
        await self._http.stop()

    async def ping(self) -> None:
        try:
            await self._issuer.keys_for(None, "")
        except Unavailable as error:
            raise Unavailable(self.trouble or str(error)) from error

    async def identify(self, token: str) -> Principal:
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        remembered = self._remembered.get(digest)
        if remembered is not None and self._clock.monotonic() < remembered[1]:
            return remembered[0]
        principal, seconds = await self._looked_into(token)
        self._remember(digest, principal, min(seconds, REMEMBERED_SECONDS))
        return principal

    async def _looked_into(self, token: str) -> tuple[Principal, float]:
        """Whom it is of, and for how many seconds that is so."""
        parts = self._check.take_apart(token)
        ring = await self._issuer.keys_for(parts.key_id, parts.algorithm)
        keys = ring.fitting(parts.key_id, parts.algorithm)
        if not keys:
            raise InvalidToken("The token is signed with a key that its issuer does not publish.")
        if not self._check.is_signed_by_one_of(parts, keys):
            raise InvalidToken("The signature of the token is wrong.")
        now = self._clock.now().timestamp()
        claims = self._check.claims_of(parts, now)
        scopes = scopes_in(claims, self._scope_claims) | self._default_scopes
        return Principal(claims["iss"], claims["sub"], scopes), claims["exp"] + self._leeway - now

    def _remember(self, digest: bytes, principal: Principal, seconds: float) -> None:
        self._remembered[digest] = principal, self._clock.monotonic() + seconds
        self._remembered.move_to_end(digest)
        if len(self._remembered) > REMEMBERED_MOST:
            self._remembered.popitem(last=False)
