"""The adapter with an issuer for Node that is certified, and none of ours."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from adapters.clock import SystemClock
from adapters.identity.oidc.identity import OidcIdentity
from tests.contracts.identity import IdentityContract, header_of
from tests.integration.identity.parts import identity_of
from tests.integration.identity.realms import NodeRealm


class TestOidcWithOidcProvider(IdentityContract):
    @pytest.fixture
    async def realm(self, tmp_path: Path) -> AsyncIterator[NodeRealm]:
        async with httpx.AsyncClient(timeout=10) as client:
            realm = NodeRealm(tmp_path, client)
            await realm.start()
            try:
                yield realm
            finally:
                await realm.stop()

    @pytest.fixture
    async def identity(self, realm: NodeRealm) -> AsyncIterator[OidcIdentity]:
        async with identity_of(realm.issuer, SystemClock(), audience=realm.audience) as identity:
            yield identity

    async def test_its_tokens_say_that_they_are_access_tokens(self, realm: NodeRealm) -> None:
        """RFC 9068, where Keycloak's say JWT: both kinds are read."""
        assert header_of(await realm.token("orders:read"))["typ"] == "at+jwt"
