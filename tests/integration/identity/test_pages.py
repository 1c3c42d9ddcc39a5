"""docs/identity for issuers that cannot be had here: its settings and commands, with tokens of exactly their shape."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.integration.crashes.service import Service
from tests.integration.identity.pages import Page, PageIssuer
from tests.integration.identity.parts import identity_check
from tests.stand_ins.issuer import part

Told = dict[str, Any]


@pytest.fixture
def auth0() -> Iterator[PageIssuer]:
    with PageIssuer("/") as issuer:
        yield issuer


@pytest.fixture
def firebase() -> Iterator[PageIssuer]:
    with PageIssuer("/acme-shop") as issuer:
        yield issuer


async def refused(service: Service, token: str) -> Told:
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
        answer = await client.post(
            "/register-user/", json={"email": "eve@example.com"}, headers={"Authorization": f"Bearer {token}"}
        )
    told: Told = answer.json()
    return told


async def everything_refused(service: Service, page: Page, cases: dict[str, str]) -> None:
    """Each line of the page's table has a token that it is said of, and nothing else is in either."""
    assert cases.keys() == page.refusals

    for said, token in cases.items():
        told = await refused(service, token)
        assert told["detail"].startswith(said), (said, told)
        assert told["status"] == (403 if "does not allow" in said else 401)


# --- Auth0 ------------------------------------------------------------------------------------------------------------

API = "https://api.example.com"  # the identifier of the API in the page


def as_auth0_tells_of_a_program(**changes: Any) -> Told:
    """Of the client credentials grant, with *Add Permissions in the Access Token*."""
    told = {
        "sub": "Hk7RbnMxAaX9@clients",
        "aud": API,
        "gty": "client-credentials",
        "azp": "Hk7RbnMxAaX9",
        "scope": "users:write users:read",
        "permissions": ["users:write", "users:read"],
    }
    return told | changes


def as_auth0_tells_of_a_person(issuer: PageIssuer, **changes: Any) -> Told:
    """Of the authorization code grant: the audience of the profile stands beside ours."""
    told = {
        "sub": "auth0|65f1c0ffee",
        "aud": [API, f"{issuer.issuer}userinfo"],
        "azp": "the-client-id-of-the-single-page-application",
        "scope": "openid profile email",
        "permissions": ["users:write"],
    }
    return told | changes


async def test_the_page_about_auth0_can_be_typed(auth0: PageIssuer, tmp_path: Path) -> None:
    page = Page("auth0", **{"https://acme.eu.auth0.com": auth0.address})
    auth0.answer("/oauth/token", lambda _: (200, {"access_token": auth0.token(as_auth0_tells_of_a_program())}))

    with Service(tmp_path, **page.settings()) as service:
        status, user = await page.call(service.url, CLIENT_ID="shop", CLIENT_SECRET="shop's secret")
        asked = next(json.loads(told["body"]) for path, told in auth0.asked if path == "/oauth/token")
        person = await refused(service, auth0.token(as_auth0_tells_of_a_person(auth0)))
        await everything_refused(
            service,
            page,
            {
                "The token is no signed JSON Web Token.": f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..a.b.c",
                "The token is for another audience.": auth0.token(
                    {"sub": "auth0|65f1c0ffee", "aud": "the-client-id-of-the-single-page-application", "nonce": "1"}
                ),
                "The token is from another issuer.": auth0.token(
                    as_auth0_tells_of_a_program(iss="https://login.example.com/")
                ),
                "The token is signed in a way that is not allowed here.": jwt.encode(
                    {"alg": "HS256", "typ": "JWT"},
                    auth0.complete(as_auth0_tells_of_a_program()),
                    OctKey.import_key("the secret of the API, which has many characters"),
                ),
                "The token does not allow this: it lacks the scope": auth0.token(
                    as_auth0_tells_of_a_program(scope="orders:read", permissions=[])
                ),
            },
        )
        opaque = await refused(service, "Yx3kq0opaque")

    assert (status, user["email"]) == (201, "ann@example.com")
    assert asked == {
        "grant_type": "client_credentials",
        "audience": API,
        "client_id": "shop",
        "client_secret": "shop's secret",
    }
    assert person["email"] == "eve@example.com"
    assert opaque["detail"] == "The token is no signed JSON Web Token."


async def test_a_slash_too_few_in_the_settings_for_auth0_is_told_of_by_readiness(
    auth0: PageIssuer, tmp_path: Path
) -> None:
    page = Page("auth0", **{"https://acme.eu.auth0.com/\n": f"{auth0.address}\n"})

    with Service(tmp_path, **page.settings()) as service:
        told = await refused(service, auth0.token(as_auth0_tells_of_a_program()))
        check = await identity_check(service.url, "degraded")

    assert told["code"] == "identity-unavailable"
    assert "another issuer than OIDC_ISSUER" in check["detail"]


async def test_a_claim_of_ones_own_is_read_as_the_page_about_auth0_says(auth0: PageIssuer, tmp_path: Path) -> None:
    page = Page("auth0", **{"https://acme.eu.auth0.com": auth0.address})
    [claim] = re.findall(r"https://acme\.example\.com/\w+", page.text)
    roles = as_auth0_tells_of_a_program(scope="", permissions=[], **{claim: ["users:write"]})

    with Service(tmp_path, **page.settings(), **page.settings(1)) as service:
        told = await refused(service, auth0.token(roles))

    assert told["email"] == "eve@example.com"


# --- Firebase ---------------------------------------------------------------------------------------------------------


def as_firebase_tells(**changes: Any) -> Told:
    """An ID token of somebody who has signed in with a password."""
    told = {
        "name": "Ann",
        "aud": "acme-shop",
        "auth_time": 1_700_000_000,
        "user_id": "q8yVxPz3gTb1",
        "sub": "q8yVxPz3gTb1",
        "email": "ann@example.com",
        "email_verified": True,
        "firebase": {"identities": {"email": ["ann@example.com"]}, "sign_in_provider": "password"},
    }
    return told | changes


def page_about(firebase: PageIssuer) -> Page:
    addresses = ("https://securetoken.google.com", "https://identitytoolkit.googleapis.com")
    return Page("firebase", **dict.fromkeys(addresses, firebase.address))


async def test_the_page_about_firebase_can_be_typed(firebase: PageIssuer, tmp_path: Path) -> None:
    page = page_about(firebase)
    sign_in = "/v1/accounts:signInWithPassword"
    firebase.answer(sign_in, lambda _: (200, {"idToken": firebase.token(as_firebase_tells()), "expiresIn": "3600"}))

    with Service(tmp_path, **page.settings()) as service:
        status, user = await page.call(service.url, WEB_API_KEY="AIza", PASSWORD="a b'c")
        asked = next(told for path, told in firebase.asked if path == sign_in)
        operator = await at_the_desk(service, firebase.token(as_firebase_tells(permissions=["operator"])))
        nobody = await at_the_desk(service, firebase.token(as_firebase_tells()))

    assert (status, user["email"]) == (201, "ann@example.com")
    assert asked["query"] == "key=AIza"
    assert json.loads(asked["body"])["password"] == "a b'c"
    assert (operator, nobody) == (200, 403)


async def test_the_page_about_firebase_says_what_each_refusal_means(firebase: PageIssuer, tmp_path: Path) -> None:
    page, long_ago = page_about(firebase), 1_700_000_000
    fewer = {**page.settings(), "CROSSDOCK_OIDC_DEFAULT_SCOPES": "users:read"}

    with Service(tmp_path, **fewer) as service:
        await everything_refused(
            service,
            page,
            {
                "The token has expired.": firebase.token(as_firebase_tells(iat=long_ago, exp=long_ago + 3600)),
                "The token is for another audience.": firebase.token(as_firebase_tells(aud="another-shop")),
                "The token is from another issuer.": firebase.token(
                    as_firebase_tells(iss="https://session.firebase.google.com/acme-shop")
                ),
                # Of the emulator.
                "The token is signed in a way that is not allowed here.": (
                    f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(firebase.complete(as_firebase_tells()))}."
                ),
                "The token does not allow this: it lacks the scope": firebase.token(as_firebase_tells()),
            },
        )


async def at_the_desk(service: Service, token: str) -> int:
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
        answer = await client.get("/operator/api/status", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code
