"""The adapter, and the service around it, with a real Keycloak."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.clock import SystemClock
from adapters.identity.oidc.identity import OidcIdentity
from entrypoints.testing import crossdock
from tests.browser import chromium
from tests.contracts.identity import IdentityContract
from tests.foreign import run_node
from tests.integration.crashes.service import Service
from tests.integration.identity.pages import Page
from tests.integration.identity.parts import identity_of
from tests.integration.identity.realms import AUDIENCE, KeycloakRealm
from tests.services import private
from tools.services.keycloak import Keycloak


@pytest.fixture(scope="module")
def server() -> Iterator[Keycloak]:
    with private(Keycloak) as server:
        yield server


@pytest.fixture
async def realm(server: Keycloak) -> AsyncIterator[KeycloakRealm]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield KeycloakRealm(server, client)


class TestOidcWithKeycloak(IdentityContract):
    @pytest.fixture
    async def identity(self, realm: KeycloakRealm) -> AsyncIterator[OidcIdentity]:
        claims = ("scope", f"resource_access.{AUDIENCE}.roles")
        async with identity_of(realm.issuer, SystemClock(), audience=AUDIENCE, scope_claims=claims) as identity:
            yield identity


def settings(realm: KeycloakRealm) -> dict[str, Any]:
    """As docs/identity/keycloak.md has them, and nothing else."""
    return {"CROSSDOCK_IDENTITY": "oidc", "OIDC_ISSUER": realm.issuer, "OIDC_AUDIENCE": AUDIENCE}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_the_journey_with_tokens_of_clients_that_speak_for_themselves(realm: KeycloakRealm) -> None:
    shop = bearer(await realm.token("users:read", "users:write", "orders:read", "orders:write", "weather:read"))
    reader, desk, stranger = [bearer(await realm.token_of(name)) for name in ("reader", "desk", "stranger")]
    async with crossdock(configure=_system_time, **settings(realm)) as dock:
        client = dock.client
        user = (await client.post("/register-user/", json={"email": "ann@example.com"}, headers=shop)).json()
        lines = [{"sku": "tea", "quantity": 1, "unit_price": "9.90"}]
        wanted = {"user_id": user["id"], "currency": "EUR", "lines": lines}
        placed = await client.post("/orders/", json=wanted, headers=shop)
        await dock.settle()
        order = placed.headers["Location"]

        assert (await client.get(order, headers=shop)).json()["status"] == "confirmed"
        assert (await client.get("/weather/Paris", headers=shop)).status_code == 200
        assert (await client.get(order)).status_code == 401
        assert (await client.get(order, headers=stranger)).status_code == 401
        assert (await client.get(order, headers=reader)).status_code == 404
        assert (await client.post("/orders/", json=wanted, headers=reader)).status_code == 403
        assert (await client.get(order, headers=desk)).status_code == 200
        assert (await client.get("/operator/api/status", headers=desk)).status_code == 200
        assert (await client.get("/operator/api/status", headers=shop)).status_code == 403


async def test_requests_go_on_while_the_keys_of_the_realm_change(realm: KeycloakRealm) -> None:
    """Promise 19: rotation. Not one request of a valid token is refused, old or new."""
    async with crossdock(configure=_system_time, **settings(realm)) as dock:
        tokens = [await realm.token("orders:read")]
        refused: list[int] = []
        served = 0
        done = asyncio.Event()

        async def keep_asking() -> None:
            nonlocal served
            while not done.is_set():
                for token in tokens:
                    answer = await dock.client.get("/orders/", headers=bearer(token))
                    served += 1
                    if answer.status_code != 200:
                        refused.append(answer.status_code)
                    await asyncio.sleep(0.005)  # all of it is in this process: leave some for the others

        asking = [asyncio.create_task(keep_asking()) for _ in range(3)]
        try:
            await realm.rotate()
            tokens.append(await realm.token_of("shop"))
            before = served
            async with asyncio.timeout(30):
                while served < before + 300:  # noqa: ASYNC110 - a count that others move
                    await asyncio.sleep(0.01)
        finally:
            done.set()
            await asyncio.gather(*asking)

        assert refused == []


async def test_readiness_tells_of_an_issuer_that_is_away_and_requests_go_on(realm: KeycloakRealm) -> None:
    async with crossdock(configure=_system_time, **settings(realm)) as dock:
        token = bearer(await realm.token("orders:read"))
        assert (await dock.client.get("/orders/", headers=token)).status_code == 200
        await realm.stop()
        try:
            # A service that starts now can check no token, and says so; the one that knows the keys goes on.
            async with crossdock(configure=_system_time, **settings(realm)) as late:
                answer = await late.client.get("/orders/", headers=token)
                ready = await late.client.get("/readyz")

            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert ready.json()["checks"]["identity"]["status"] == "degraded"
            assert (await dock.client.get("/orders/?limit=1", headers=token)).status_code == 200
        finally:
            await realm.start()


async def test_the_page_about_keycloak_can_be_typed(realm: KeycloakRealm, tmp_path: Path) -> None:
    page = page_about(realm)
    await realm.token("users:write")

    with Service(tmp_path, **page.settings()) as service:
        status, user = await page.call(service.url, SHOP_SECRET="shop-secret")

    assert (status, user["email"]) == (201, "ann@example.com")


async def test_the_page_about_keycloak_says_what_each_refusal_means(realm: KeycloakRealm) -> None:
    page = page_about(realm)
    await realm.token("users:write")
    elsewhere = realm.issuer.replace("127.0.0.1", "localhost")
    cases = {
        "The token is for another audience.": await realm.token_of("stranger"),
        "The token is from another issuer.": await realm.token_of("shop", at=elsewhere),
        "The token does not say whom it is of.": await realm.token_of_a_person_without("basic"),
        "The token does not allow this: it lacks the scope": await realm.token_of("reader"),
    }

    async with crossdock(configure=_system_time, **{**settings(realm), **page.settings(1)}) as dock:
        told = {
            said: (await dock.client.post("/register-user/", json={"email": "x@example.com"}, headers=bearer(token)))
            for said, token in cases.items()
        }

    assert cases.keys() == page.refusals
    assert [said for said, answer in told.items() if said not in answer.text] == []
    assert [answer.status_code for answer in told.values()] == [401, 401, 401, 403]


def page_about(realm: KeycloakRealm) -> Page:
    return Page("keycloak", **{"https://keycloak.example.com/realms/acme": realm.issuer})


async def test_people_sign_in_from_the_docs_page_with_a_browser(realm: KeycloakRealm, tmp_path: Path) -> None:
    """The authorization code flow with PKCE, in Chromium; until somebody signs in nothing is asked of the issuer."""
    docs = {"CROSSDOCK_OIDC_DOCS_CLIENT_ID": "crossdock-docs"}
    with Service(tmp_path, **settings(realm), **docs) as service:
        async with httpx.AsyncClient(base_url=service.url) as client, asyncio.timeout(10):
            while not (await client.get("/docs/sign-in")).json()["client_id"]:  # noqa: ASYNC110 it is another process
                await asyncio.sleep(0.05)
        told = await asyncio.to_thread(run_node, "sign-in.mjs", chromium(), service.url, "alice", "alice-password")
        seen = json.loads(told)

    assert seen["before"] == [service.url]
    assert seen["complaints"] == []
    assert (seen["status"], seen["body"]) == (200, {"items": [], "next_cursor": None})


def _system_time(container: object) -> None:
    """Tokens of others are valid by the clock of the world."""
    container.clock.override(SystemClock())  # type: ignore[attr-defined]
