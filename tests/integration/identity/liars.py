"""Identities that lie: each is an honest one that breaks one promise."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

from ports.identity import OPERATOR, Identity, InvalidToken, Principal
from tests.contracts.identity import claims_of, header_of


class LyingIdentity(Identity):
    """Passes everything on to an honest identity; each liar changes one thing."""

    def __init__(self, honest: Identity) -> None:
        self.honest = honest

    async def identify(self, token: str) -> Principal:
        try:
            return self.told(await self.honest.identify(token), token)
        except InvalidToken as error:
            if not self.believes(header_of(token), str(error)):
                raise
            claims = claims_of(token)
            return Principal(claims["iss"], claims["sub"], frozenset(str(claims.get("scope")).split()))

    def believes(self, header: dict[str, Any], why_not: str) -> bool:  # noqa: ARG002 - liars look at either
        return False

    def told(self, principal: Principal, token: str) -> Principal:  # noqa: ARG002
        return principal


class ForgetsTheAudience(LyingIdentity):
    def believes(self, header: dict[str, Any], why_not: str) -> bool:  # noqa: ARG002
        return "audience" in why_not


class BelievesTheUnsigned(LyingIdentity):
    def believes(self, header: dict[str, Any], why_not: str) -> bool:  # noqa: ARG002
        return str(header["alg"]) == "nOnE"


class TakesThePublicKeyForASecret(LyingIdentity):
    def believes(self, header: dict[str, Any], why_not: str) -> bool:  # noqa: ARG002
        return str(header["alg"]) == "HS512"


class ChecksNoSignature(LyingIdentity):
    def believes(self, header: dict[str, Any], why_not: str) -> bool:  # noqa: ARG002
        return "signature" in why_not


class BelievesTheKeyThatCameAlong(LyingIdentity):
    def believes(self, header: dict[str, Any], why_not: str) -> bool:  # noqa: ARG002
        return "jwk" in header


class TakesEachTokenForACaller(LyingIdentity):
    def told(self, principal: Principal, token: str) -> Principal:
        return replace(principal, subject=sha256(token.encode()).hexdigest())


class LetsEverybodyOperate(LyingIdentity):
    def told(self, principal: Principal, token: str) -> Principal:  # noqa: ARG002
        return replace(principal, scopes=principal.scopes | {OPERATOR})


class KnowsNoOperators(LyingIdentity):
    def told(self, principal: Principal, token: str) -> Principal:  # noqa: ARG002
        return replace(principal, scopes=principal.scopes - {OPERATOR})
