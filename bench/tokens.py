"""An issuer of tokens for a round, and callers with tokens of it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import RSAKey

from bench.children import free_port, module, serving

AUDIENCE = "crossdock-api"
SCOPES = "users:read users:write orders:read orders:write weather:read"


class Issuer:
    """Signs as Keycloak does: RS256 with a key of 2,048 bits, and a token of some 1,000 characters."""

    def __init__(self, port: int, key: RSAKey) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._key = key

    @property
    def settings(self) -> dict[str, str]:
        """What makes a service believe it."""
        return {"CROSSDOCK_IDENTITY": "oidc", "OIDC_ISSUER": self.address, "OIDC_AUDIENCE": AUDIENCE}

    def token(self, subject: str) -> str:
        """Of one caller, for an hour."""
        now = int(time.time())
        claims = {
            "iss": self.address,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 3600,
            "scope": f"openid profile email {SCOPES}",
            "name": "Ann Example",
            "resource_access": {"account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}},
        }
        return jwt.encode({"alg": "RS256", "kid": self._key.kid}, claims, self._key)


@contextmanager
def issuer(folder: Path) -> Iterator[Issuer]:
    """One that publishes its key until the end of the block."""
    key, file, port = RSAKey.generate_key(2048, {"kid": "k1"}), folder / "key.json", free_port()
    file.write_text(json.dumps(key.as_dict(private=True)), encoding="utf-8")
    command = module("tests.stand_ins.issuer", "--port", str(port), "--key", str(file))
    with serving(command, folder=folder, port=port, path="/.well-known/openid-configuration"):
        yield Issuer(port, key)
