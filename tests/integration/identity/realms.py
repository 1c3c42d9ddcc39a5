"""Issuers of others: Keycloak, and the provider for Node that is certified."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import JWKRegistry, RSAKey

from tests.contracts.identity import Realm
from tests.foreign import NODE_FOLDER, node_packages
from tests.stand_ins.issuer import new_key
from tools.node import NODE
from tools.services.keycloak import ADMIN, Keycloak
from tools.services.ports import HOST, free_ports

AUDIENCE = "crossdock-api"
START_SECONDS = 30.0


class KeycloakRealm(Realm):
    """The realm of `tools/services/keycloak.json`; its client `shop` is given the roles that a test asks for."""

    audience = AUDIENCE

    def __init__(self, server: Keycloak, client: httpx.AsyncClient) -> None:
        self.server = server
        self.issuer = server.issuer
        self._client = client
        self._priorities = itertools.count(200)

    async def token(self, *scopes: str) -> str:
        await self._allow_the_shop(*scopes)
        return await self.token_of("shop")

    async def token_of(self, client_id: str, *, at: str = "") -> str:
        """A token of one of the clients, which speaks for itself; ``at`` is another address of the realm."""
        return await self._token(
            at or self.issuer, grant_type="client_credentials", client_id=client_id, client_secret=f"{client_id}-secret"
        )

    async def token_for_another(self) -> str:
        return await self.token_of("stranger")

    async def token_of_a_person_without(self, scope: str) -> str:
        """Of Alice, whom the realm tells nothing that comes with this scope; as if it had been imported without it."""
        [client] = await self._admin("GET", "/clients?clientId=crossdock-docs")
        [found] = [each for each in await self._admin("GET", "/client-scopes") if each["name"] == scope]
        path = f"/clients/{client['id']}"
        await self._admin("PUT", path, {**client, "directAccessGrantsEnabled": True})
        await self._admin("DELETE", f"{path}/default-client-scopes/{found['id']}")
        try:
            person = {"username": "alice", "password": "alice-password"}
            return await self._token(self.issuer, grant_type="password", client_id="crossdock-docs", **person)
        finally:
            await self._admin("PUT", f"{path}/default-client-scopes/{found['id']}")
            await self._admin("PUT", path, client)

    async def rotate(self) -> None:
        priority = str(next(self._priorities))
        new = {
            "name": f"rsa-{priority}",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {
                "priority": [priority],
                "enabled": ["true"],
                "active": ["true"],
                "algorithm": ["RS256"],
                "keySize": ["2048"],
            },
        }
        await self._admin("POST", "/components", new)

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.stop)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def public_key(self) -> str:
        keys = (await self._admin("GET", "/keys"))["keys"]
        of_tokens = [key for key in keys if key.get("algorithm") == "RS256" and key["status"] == "ACTIVE"]
        signing = max(of_tokens, key=lambda key: int(key["providerPriority"]))
        return f"-----BEGIN PUBLIC KEY-----\n{signing['publicKey']}\n-----END PUBLIC KEY-----\n"

    async def _allow_the_shop(self, *scopes: str) -> None:
        [shop] = await self._admin("GET", "/clients?clientId=shop")
        [api] = await self._admin("GET", f"/clients?clientId={AUDIENCE}")
        user = await self._admin("GET", f"/clients/{shop['id']}/service-account-user")
        roles = await self._admin("GET", f"/clients/{api['id']}/roles")
        mappings = f"/users/{user['id']}/role-mappings/clients/{api['id']}"
        await self._admin("DELETE", mappings, roles)
        await self._admin("POST", mappings, [role for role in roles if role["name"] in scopes])

    async def _admin(self, method: str, path: str, body: Any = None) -> Any:
        token = await self._token(
            f"{self.server.address}/realms/master",
            grant_type="password",
            client_id="admin-cli",
            username=ADMIN,
            password=ADMIN,
        )
        answer = await self._client.request(
            method,
            f"{self.server.address}/admin/realms/crossdock{path}",
            headers={"Authorization": f"Bearer {token}"},
            json=body,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def _token(self, issuer: str, **form: str) -> str:
        answer = await self._client.post(f"{issuer}/protocol/openid-connect/token", data=form)
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token


class NodeRealm(Realm):
    """npm's `oidc-provider`, started anew with its old keys and a new one when they are to change."""

    audience = AUDIENCE

    def __init__(self, folder: Path, client: httpx.AsyncClient) -> None:
        [self._port] = free_ports(1)
        self.issuer = f"http://{HOST}:{self._port}"
        self._file = folder / "keys.json"
        self._log = folder / "log"
        self._client = client
        self._keys = [self._new_key(1)]
        self._process: subprocess.Popen[bytes] | None = None

    async def token(self, *scopes: str) -> str:
        return await self._token(scope=" ".join(scopes))

    async def token_for_another(self) -> str:
        return await self._token(scope="orders:read", resource="urn:another-api")

    async def rotate(self) -> None:
        self._keys.insert(0, self._new_key(len(self._keys) + 1))
        await self.stop()
        await self.start()

    async def start(self) -> None:
        node_packages()
        self._file.write_text(json.dumps(self._keys))
        self._process = self._spawned()
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                assert self._process.poll() is None, self._log.read_text()
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # the program that is installed only starts another
            await asyncio.to_thread(self._process.wait, 10)
            self._process = None

    async def public_key(self) -> str:
        key = JWKRegistry.import_key(self._keys[0])
        assert isinstance(key, RSAKey)
        return key.as_pem(private=False).decode()

    def _spawned(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [NODE, "issuer.mjs", str(self._port), self._file],
                cwd=NODE_FOLDER,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    async def _answers(self) -> bool:
        try:
            answer = await self._client.get(f"{self.issuer}/.well-known/openid-configuration")
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    async def _token(self, **form: str) -> str:
        answer = await self._client.post(
            f"{self.issuer}/token", data={"grant_type": "client_credentials", **form}, auth=("shop", "shop-secret")
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        token: str = answer.json()["access_token"]
        return token

    @staticmethod
    def _new_key(number: int) -> dict[str, Any]:
        made: dict[str, Any] = dict(new_key(id=f"k{number}", use="sig", alg="RS256").as_dict(private=True))
        return made
