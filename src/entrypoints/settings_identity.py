"""The settings of who says who is calling."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from entrypoints.settings_part import PEM, Authorities, Part, listed
from entrypoints.settings_variables import Refused, Variable, is_loopback, outbound_url
from ports.identity import OPERATOR, SCOPES


class NoIdentity(Part):
    """Anyone may do everything but operate."""

    backend: Literal["none"] = "none"


_ISSUER_FORMS = "an https address, or http on loopback, exactly as it stands in the tokens; without query and fragment"
_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"),
)
_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # what RFC 6749 §3.3 lets a scope consist of


def _issuer(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme == "http" and parts.hostname and not is_loopback(parts.hostname):
        raise Refused("would let anybody on the way exchange the keys")
    return outbound_url(value)


def _audience(value: str | None) -> str | None:
    if value is not None and not (value.isprintable() and 0 < len(value) <= 255):
        raise Refused("is no audience")
    return value


def _algorithms(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if name == "none" or name.startswith("HS"):
            raise Refused(f"allows {name}, with which anybody could sign")
        if name not in _ALGORITHMS:
            raise Refused("names an algorithm that is not known")
    if not value:
        raise Refused("allows no algorithm, and so no token")
    return value


def _default_scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    for scope in value:
        if scope == OPERATOR:
            raise Refused("would make an operator of everybody who has a token")
        if scope not in SCOPES:
            raise Refused("names a scope that is not known")
    return value


def _scope_claims(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 20 or not all(_WORD.fullmatch(path) for path in value):
        raise Refused("is no list of at most 20 claims")
    return value


class OidcIdentity(Part):
    """An OpenID Connect issuer: Keycloak, Auth0, Firebase and others."""

    backend: Literal["oidc"] = "oidc"
    issuer: Annotated[
        str | None, Variable("OIDC_ISSUER", "who signs the tokens", _ISSUER_FORMS), AfterValidator(_issuer)
    ] = None
    audience: Annotated[
        str | None,
        Variable("OIDC_AUDIENCE", "whom the tokens have to be for: this API", "1 to 255 characters"),
        AfterValidator(_audience),
    ] = None
    algorithms: Annotated[
        tuple[str, ...],
        Variable("CROSSDOCK_OIDC_ALGORITHMS", "how tokens may be signed", f"several of {', '.join(_ALGORITHMS)}"),
        BeforeValidator(listed),
        AfterValidator(_algorithms),
    ] = ("RS256", "PS256", "ES256", "EdDSA")
    leeway: Annotated[
        int,
        Variable("CROSSDOCK_OIDC_LEEWAY", "seconds that the clocks of issuer and service may differ", "0 to 300"),
        Field(ge=0, le=300),
    ] = 30
    scope_claims: Annotated[
        tuple[str, ...],
        Variable(
            "CROSSDOCK_OIDC_SCOPE_CLAIMS",
            "the claims that say what a caller may do; {audience} stands for OIDC_AUDIENCE",
            "names, with dots into claims within claims, separated by commas",
        ),
        BeforeValidator(listed),
        AfterValidator(_scope_claims),
    ] = ("scope", "scp", "permissions", "realm_access.roles", "resource_access.{audience}.roles")
    default_scopes: Annotated[
        tuple[str, ...],
        Variable(
            "CROSSDOCK_OIDC_DEFAULT_SCOPES",
            "what everybody with a token may do, for issuers whose tokens do not say",
            f"several of {', '.join(scope for scope in SCOPES if scope != OPERATOR)}",
        ),
        BeforeValidator(listed),
        AfterValidator(_default_scopes),
    ] = ()
    docs_client_id: Annotated[
        str | None,
        Variable(
            "CROSSDOCK_OIDC_DOCS_CLIENT_ID",
            "the public client that the API docs sign people in as (PKCE); without, they take a token by hand",
            "1 to 255 visible ASCII characters",
        ),
        Field(pattern=r"^[\x21-\x7e]{1,255}$"),
    ] = None
    ca_file: Annotated[
        Authorities, Variable("OIDC_SSL_CAFILE", "who vouches for the issuer; without, the usual list", PEM)
    ] = None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        for name in ("issuer", "audience"):
            if not getattr(self, name):
                yield name, "is missing: CROSSDOCK_IDENTITY is oidc"

    @property
    def scope_paths(self) -> tuple[str, ...]:
        """Where scopes stand in a token."""
        return tuple(path.replace("{audience}", self.audience or "") for path in self.scope_claims)
