"""What identity promises, whoever the issuer is."""

import asyncio
import hmac
import json
from abc import ABC, abstractmethod
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from ports.identity import Identity, InvalidToken, Principal
from tests.stand_ins.issuer import part


class Realm(ABC):
    """An issuer as a test needs it."""

    issuer: str
    audience: str

    @abstractmethod
    async def token(self, *scopes: str) -> str:
        """A fresh token of one and the same caller for this audience, with these scopes."""

    @abstractmethod
    async def token_for_another(self) -> str:
        """A token of this issuer for another audience."""

    @abstractmethod
    async def rotate(self) -> None:
        """From here on sign with a new key; the old one stays published."""

    @abstractmethod
    async def stop(self) -> None:
        """Be away."""

    @abstractmethod
    async def start(self) -> None:
        """Be back, with the keys of before."""

    @abstractmethod
    async def public_key(self) -> str:
        """The key that signs, as everybody may read it (PEM)."""


def header_of(token: str) -> dict[str, Any]:
    return _read(token.split(".", maxsplit=1)[0])


def claims_of(token: str) -> dict[str, Any]:
    return _read(token.split(".")[1])


def _read(text: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return read


def signed_anew(token: str, key: RSAKey, algorithm: str, **header: Any) -> str:
    """The same claims, signed by somebody else."""
    told = {"typ": "JWT", **header_of(token), "alg": algorithm, **header}
    signed = f"{part(told)}.{token.split('.')[1]}".encode()
    signature = jws.JWSRegistry.algorithms[algorithm].sign(signed, key)
    return f"{signed.decode()}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


class IdentityContract:
    """Wants two fixtures: ``realm``, and ``identity``, started, which believes that issuer for its audience."""

    async def test_a_good_token_tells_who_is_calling_and_what_it_may_do(self, identity: Identity, realm: Realm) -> None:
        token = await realm.token("orders:read", "orders:write")

        principal = await identity.identify(token)

        assert principal.issuer == realm.issuer
        assert principal.subject == claims_of(token)["sub"]
        assert principal.may("orders:read")
        assert principal.may("orders:write")
        assert not principal.may("users:write")
        assert not principal.operates

    async def test_a_caller_is_the_same_with_every_token(self, identity: Identity, realm: Realm) -> None:
        first, second = [await identity.identify(await realm.token("orders:read")) for _ in range(2)]

        assert (first.issuer, first.subject) == (second.issuer, second.subject)

    async def test_an_operator_may_do_everything(self, identity: Identity, realm: Realm) -> None:
        principal = await identity.identify(await realm.token("operator"))

        assert principal.operates
        assert principal.may("users:write")

    async def test_what_is_for_another_audience_is_refused(self, identity: Identity, realm: Realm) -> None:
        with pytest.raises(InvalidToken, match="another audience"):
            await identity.identify(await realm.token_for_another())

    async def test_a_changed_claim_breaks_the_signature(self, identity: Identity, realm: Realm) -> None:
        token = await realm.token("orders:read")
        head, _, signature = token.split(".")
        forged = f"{head}.{part({**claims_of(token), 'scope': 'operator', 'sub': 'eve'})}.{signature}"

        with pytest.raises(InvalidToken, match="signature"):
            await identity.identify(forged)

    async def test_no_signature_is_no_signature(self, identity: Identity, realm: Realm) -> None:
        """Promise 19: alg=none, in every spelling."""
        token = await realm.token("orders:read")
        for none in ("none", "None", "NONE", "nOnE"):
            for signature in ("", token.split(".")[2]):
                unsigned = f"{part({**header_of(token), 'alg': none})}.{token.split('.')[1]}.{signature}"
                with pytest.raises(InvalidToken, match="not allowed"):
                    await identity.identify(unsigned)

    async def test_the_public_key_is_no_secret_to_sign_with(self, identity: Identity, realm: Realm) -> None:
        """Promise 19: HS256 with the public key."""
        token = await realm.token("orders:read")
        for algorithm in ("HS256", "HS384", "HS512"):
            signed = f"{part({**header_of(token), 'alg': algorithm})}.{token.split('.')[1]}"
            signature = hmac.digest((await realm.public_key()).encode(), signed.encode(), f"sha{algorithm[2:]}")
            confused = f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"
            with pytest.raises(InvalidToken, match="not allowed"):
                await identity.identify(confused)

    async def test_a_key_of_somebody_else_under_a_known_name_is_refused(self, identity: Identity, realm: Realm) -> None:
        forged = signed_anew(await realm.token("operator"), RSAKey.generate_key(2048), "RS256")

        with pytest.raises(InvalidToken, match="signature"):
            await identity.identify(forged)

    async def test_a_key_that_a_token_brings_along_is_not_looked_at(self, identity: Identity, realm: Realm) -> None:
        """Promise 19: jwk, jku, x5u."""
        token, eve = await realm.token("operator"), RSAKey.generate_key(2048, {"kid": "eve"})
        brought = {
            "jwk": eve.as_dict(private=False),
            "jku": f"{realm.issuer}/evil",
            "x5u": f"{realm.issuer}/evil",
            "kid": "eve",
        }

        with pytest.raises(InvalidToken):
            await identity.identify(signed_anew(token, eve, "RS256", **brought))

    async def test_keys_change_while_tokens_come(self, identity: Identity, realm: Realm) -> None:
        """Promise 19: a token of the new key is good at once, and one of the old key until it expires."""
        old = await realm.token("orders:read")
        before = await identity.identify(old)

        await realm.rotate()
        new = await realm.token("orders:read")
        found = await asyncio.gather(*(identity.identify(token) for token in (new, old) * 10))

        assert header_of(new)["kid"] != header_of(old)["kid"]
        assert set(found) == {before}

    async def test_known_keys_are_good_while_the_issuer_is_away(self, identity: Identity, realm: Realm) -> None:
        """Promise 19: issuer down."""
        first, second = await realm.token("orders:read"), await realm.token("orders:write")
        await identity.identify(first)

        await realm.stop()
        try:
            principal = await identity.identify(second)
            with pytest.raises(InvalidToken):
                await identity.identify(signed_anew(first, RSAKey.generate_key(2048), "RS256", kid="unknown"))
        finally:
            await realm.start()

        assert principal.may("orders:write")
        assert isinstance(await identity.identify(await realm.token("orders:read")), Principal)
