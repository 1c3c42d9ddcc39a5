"""The public keys of an issuer that may have signed a token."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from pydantic import BaseModel

KEYS_MOST: Final = 100
RSA_BITS_LEAST: Final = 2048

# For each algorithm the kind of key, and the curves, that it may be used with: never what a token makes of it.
# Symmetric ones are not here, so that nobody can sign with what everybody may read.
KEYS_OF: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    **{name: ("RSA", frozenset[str]()) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256": ("EC", frozenset({"P-256"})),
    "ES384": ("EC", frozenset({"P-384"})),
    "ES512": ("EC", frozenset({"P-521"})),
    "EdDSA": ("OKP", frozenset({"Ed25519", "Ed448"})),
    "Ed25519": ("OKP", frozenset({"Ed25519"})),
    "Ed448": ("OKP", frozenset({"Ed448"})),
}
# Of what an issuer publishes these parts alone are read: no private half, no certificates, no addresses.
_PUBLIC: Final = ("kty", "kid", "alg", "n", "e", "crv", "x", "y")


class KeyDocument(BaseModel):
    """A JWK set (RFC 7517 §5)."""

    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _PublicKey:
    id: str | None
    kind: str
    curve: str
    algorithm: str | None  # the only one, if the issuer says so
    key: Key

    def fits(self, algorithm: str) -> bool:
        kind, curves = KEYS_OF[algorithm]
        named = self.algorithm in {None, algorithm} or {self.algorithm, algorithm} == {"EdDSA", self.curve}
        return named and self.kind == kind and (not curves or self.curve in curves)


class KeyRing:
    """The keys of one moment."""

    def __init__(self, keys: Sequence[_PublicKey]) -> None:
        self._keys = keys

    @classmethod
    def read(cls, document: KeyDocument) -> "KeyRing":
        """The keys that signatures can be checked with; what is for something else, or is not known, is passed over."""
        return cls([key for jwk in document.keys[:KEYS_MOST] if (key := _read(jwk)) is not None])

    def __len__(self) -> int:
        return len(self._keys)

    def fitting(self, key_id: str | None, algorithm: str) -> Sequence[Key]:
        """The key of this id, if it may be used with this algorithm; without an id all that may."""
        return [each.key for each in self._keys if key_id in {None, each.id} and each.fits(algorithm)]


def _read(jwk: Mapping[str, Any]) -> _PublicKey | None:
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        return None
    if jwk.get("kty") not in {"RSA", "EC", "OKP"}:
        return None
    public = {name: jwk[name] for name in _PUBLIC if isinstance(jwk.get(name), str)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # weak ones are passed over below
            key = JWKRegistry.import_key(public)
        bits = getattr(key.raw_value, "key_size", RSA_BITS_LEAST)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if public["kty"] == "RSA" and bits < RSA_BITS_LEAST:
        return None
    return _PublicKey(public.get("kid"), public["kty"], public.get("crv", ""), public.get("alg"), key)
