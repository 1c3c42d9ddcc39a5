"""`crossdock up` as callers meet it: real HTTP, and an issuer over a socket."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.contracts.identity import signed_anew
from tests.integration.crashes.service import Service
from tests.integration.identity.parts import identity_check
from tests.stand_ins.issuer import AUDIENCE, FakeIssuer, Key, new_key, part


@pytest.fixture
async def issuer(first_key: Key) -> AsyncIterator[FakeIssuer]:
    async with FakeIssuer(first_key, now=time.time()) as issuer:
        yield issuer


async def test_no_bad_token_opens_anything_and_none_is_written_down(issuer: FakeIssuer, tmp_path: Path) -> None:
    """Promises 19 and 22, over the wire: refused with 401, one fetch of the keys for a flood, no token in the log."""
    now, eve = int(time.time()), new_key(id="eve")
    good = issuer.token()
    bad = {
        "expired": issuer.token(exp=now - 60),
        "not yet valid": issuer.token(nbf=now + 600),
        "wrong audience": issuer.token(aud="another"),
        "wrong issuer": issuer.token(iss="https://another.example"),
        "unsigned": f"{part({'alg': 'none'})}.{good.split('.')[1]}.",
        "signed by another": signed_anew(good, eve, "RS256"),  # type: ignore[arg-type] # an RSA key
        "brings its key": issuer.token(eve, header={"jwk": eve.as_dict(private=False), "jku": f"{issuer.address}/x"}),
        "garbage": "canary-4711-garbage",
        "100 KB": "a" * 100_000,
    }
    flood = [issuer.token(eve, header={"kid": f"eve-{number}"}) for number in range(100)]
    settings = {"CROSSDOCK_IDENTITY": "oidc", "OIDC_ISSUER": issuer.address, "OIDC_AUDIENCE": AUDIENCE}
    with Service(tmp_path, **settings, CROSSDOCK_LOG_LEVEL="debug") as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:

            async def asked(token: str) -> httpx.Response:
                return await client.get("/orders/", headers={"Authorization": f"Bearer {token}"})

            first = await asked(good)
            refused = {what: await asked(token) for what, token in bad.items()}
            fetched = issuer.key_fetches
            flooded = [(await asked(token)).status_code for token in flood]
            afterwards = await asked(good)
            metrics = (await client.get("/metrics")).text
        log = service.log

    assert (first.status_code, afterwards.status_code) == (200, 200)
    assert {what: answer.status_code for what, answer in refused.items()} == dict.fromkeys(bad, 401)
    assert all('error="invalid_token"' in answer.headers["WWW-Authenticate"] for answer in refused.values())
    assert flooded == [401] * len(flood)
    assert issuer.key_fetches <= fetched + 1
    assert issuer.key_fetches <= 2
    pieces = {piece for token in [good, *bad.values(), *flood] for piece in token.split(".") if len(piece) > 10}
    told = [log, metrics, *(answer.text + str(answer.headers) for answer in refused.values())]
    assert not [piece[:40] for piece in pieces for text in told if piece in text]


async def test_an_issuer_that_is_away_at_the_start_keeps_nothing_from_starting(
    issuer: FakeIssuer, tmp_path: Path
) -> None:
    token, address = issuer.token(), issuer.address
    await issuer.stop()
    settings = {"CROSSDOCK_IDENTITY": "oidc", "OIDC_ISSUER": address, "OIDC_AUDIENCE": AUDIENCE}
    with Service(tmp_path, **settings) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
            headers = {"Authorization": f"Bearer {token}"}
            without = await client.get("/orders/", headers=headers)
            ready = await identity_check(service.url, "degraded")
            await issuer.start()
            until = time.monotonic() + 30  # what waited for somebody moves again within 30 s of their return
            while (back := await client.get("/orders/", headers=headers)).status_code == 503:
                assert time.monotonic() < until
                await asyncio.sleep(0.1)
            healed = await identity_check(service.url, "ready")

    assert (without.status_code, without.json()["code"]) == (503, "identity-unavailable")
    assert "no token can be checked" in ready["detail"]
    assert back.status_code == 200
    assert healed["detail"] == ""
