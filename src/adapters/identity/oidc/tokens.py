"""What a token says, taken apart without believing it, and checked."""

import binascii
import json
import re
import warnings
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from ports.identity import InvalidToken

TOKEN_MOST: Final = 16 * 1024  # characters
SUBJECT_MOST: Final = 255  # OpenID Connect Core §2
_KEY_ID_MOST: Final = 512
_FAR: Final = 2**53  # seconds; a whole number beyond need not fit into a float
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})

# RFC 7515 §2: no padding. Without a look at it first, the decoder passes over what is none of it.
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")
_MALFORMED = "The token is no signed JSON Web Token."
# What is said of a claim that is not as it has to be.
_OF_CLAIMS: Final[Mapping[str, str]] = {
    "iss": "The token is from another issuer.",
    "aud": "The token is for another audience.",
    "exp": "The token does not say until when it is valid.",
    "nbf": "The token is not valid yet.",
    "iat": "The token was issued in the future.",
    "sub": "The token does not say whom it is of.",
}


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A token in its parts, none of which anybody has vouched for."""

    algorithm: str
    key_id: str | None
    signed: bytes
    signature: bytes
    payload: bytes


class TokenCheck:
    """Knows which algorithms, which issuer and which audience are ours."""

    def __init__(self, *, issuer: str, audience: str, algorithms: Collection[str], leeway: int) -> None:
        registry = JWSRegistry(algorithms=algorithms)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # EdDSA has a newer name; issuers use the old one
            self._algorithms = {name: registry.get_alg(name) for name in algorithms}
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway

    def take_apart(self, token: str) -> Unchecked:
        """The parts of a token that has the right shape and an algorithm that is allowed; else `InvalidToken`."""
        if len(token) > TOKEN_MOST:
            raise InvalidToken(f"The token is longer than {TOKEN_MOST:,} characters.")
        parts = token.split(".")
        if len(parts) != 3 or not token.isascii():
            raise InvalidToken(_MALFORMED)
        header = _object(_decoded(parts[0]))
        algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        # Nothing that a header may declare as critical is known here (RFC 7515 §4.1.11, RFC 7797).
        if "crit" in header or "b64" in header or not isinstance(algorithm, str):
            raise InvalidToken(_MALFORMED)
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise InvalidToken("The token is of another kind than an access token.")
        if algorithm not in self._algorithms:
            raise InvalidToken("The token is signed in a way that is not allowed here.")
        if key_id is not None and not (isinstance(key_id, str) and len(key_id) <= _KEY_ID_MOST):
            raise InvalidToken(_MALFORMED)
        signed = token.rpartition(".")[0].encode()
        return Unchecked(algorithm, key_id, signed, _decoded(parts[2]), _decoded(parts[1]))

    def is_signed_by_one_of(self, token: Unchecked, keys: Sequence[Key]) -> bool:
        """Whether the signature is of one of these keys, which fit the algorithm."""
        return any(self._verifies(token, key) for key in keys)

    def _verifies(self, token: Unchecked, key: Key) -> bool:
        try:
            return self._algorithms[token.algorithm].verify(token.signed, token.signature, key)
        except (JoseError, ValueError, TypeError):
            return False  # a signature of the wrong length, a key that is none

    def claims_of(self, token: Unchecked, now: float) -> dict[str, Any]:
        """What a token says that was signed by the issuer; `InvalidToken` when it is not for us, or not for now."""
        claims = _object(token.payload)
        registry = JWTClaimsRegistry(
            now=int(now),
            leeway=self._leeway,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            registry.validate(claims)
        except ExpiredTokenError:
            raise InvalidToken("The token has expired.") from None
        except MissingClaimError as error:
            raise InvalidToken(_of_claim(error.claim.partition(",")[0])) from None
        except InvalidClaimError as error:
            raise InvalidToken(_of_claim(error.claim)) from None
        except JoseError:
            raise InvalidToken(_MALFORMED) from None
        subject: str = claims["sub"]
        claims["exp"] = min(claims["exp"], _FAR)
        if len(subject) > SUBJECT_MOST or not subject.isprintable():
            raise InvalidToken(_OF_CLAIMS["sub"])
        return claims


def _of_claim(name: str) -> str:
    return _OF_CLAIMS.get(name, _MALFORMED)


def _decoded(part: str) -> bytes:
    if not _BASE64URL.fullmatch(part):
        raise InvalidToken(_MALFORMED)
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise InvalidToken(_MALFORMED) from None


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidToken(_MALFORMED) from None
    if not isinstance(value, dict):
        raise InvalidToken(_MALFORMED)
    return value
