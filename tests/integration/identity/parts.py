"""Issuers to test with, and the adapter as the container makes it."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from adapters.http_client import HttpClient
from adapters.identity.oidc.identity import OidcIdentity
from ports.clock import Clock
from tests.contracts.identity import Realm
from tests.stand_ins.issuer import AUDIENCE, FakeIssuer, new_key

CLAIMS = ("scope", "scp", "permissions", "realm_access.roles", f"resource_access.{AUDIENCE}.roles")


class FakeRealm(Realm):
    """The issuer made by hand."""

    audience = AUDIENCE

    def __init__(self, fake: FakeIssuer) -> None:
        self.fake = fake
        self.issuer = fake.address
        self._numbers = itertools.count(1)

    async def token(self, *scopes: str) -> str:
        return self.fake.token(scope=" ".join(scopes), jti=str(next(self._numbers)))

    async def token_for_another(self) -> str:
        return self.fake.token(aud="another-api")

    async def rotate(self) -> None:
        self.fake.keys.append(new_key(id=f"k{len(self.fake.keys) + 1}"))

    async def stop(self) -> None:
        await self.fake.stop()

    async def start(self) -> None:
        await self.fake.start()

    async def public_key(self) -> str:
        return self.fake.keys[-1].as_pem(private=False).decode()  # type: ignore[union-attr] # an RSA key


async def identity_check(url: str, status: str) -> Any:
    """What a running service tells of its issuer, once it is so: it looks every few seconds."""
    async with httpx.AsyncClient(base_url=url, timeout=20) as client, asyncio.timeout(20):
        while True:
            ready = await client.get("/readyz")
            check = ready.json()["checks"]["identity"]
            if check["status"] == status:
                assert ready.status_code == httpx.codes.OK
                return check
            await asyncio.sleep(0.05)


@asynccontextmanager
async def identity_of(issuer: str, clock: Clock, **changes: Any) -> AsyncIterator[OidcIdentity]:
    """The adapter for this issuer, started."""
    given: dict[str, Any] = {
        "issuer": issuer,
        "audience": AUDIENCE,
        "algorithms": ("RS256", "PS256", "ES256", "EdDSA"),
        "leeway": 30,
        "scope_claims": CLAIMS,
        "default_scopes": (),
        **changes,
    }
    http = HttpClient(clock, connections=2, connect_seconds=1.5, wait_seconds=2, call_seconds=2.5)
    identity = OidcIdentity(http=http, clock=clock, **given)
    await identity.start()
    try:
        yield identity
    finally:
        await identity.stop()
