"""The adapter over sockets, with an issuer made by hand and time in the test's hand."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.identity.oidc.identity import OidcIdentity
from adapters.identity.oidc.tokens import TOKEN_MOST
from entrypoints.testing import Crossdock, crossdock
from ports.errors import Unavailable
from ports.identity import Identity, InvalidToken, SignIn
from tests.clock import ManualClock
from tests.contracts.identity import IdentityContract
from tests.integration.identity.parts import FakeRealm, identity_of
from tests.stand_ins.issuer import AUDIENCE, DISCOVERY, KEYS, FakeIssuer, Key, new_key, part


@pytest.fixture
async def identity(issuer: FakeIssuer, clock: ManualClock) -> AsyncIterator[OidcIdentity]:
    async with identity_of(issuer.address, clock) as identity:
        yield identity


class TestOidcWithAnIssuerMadeByHand(IdentityContract):
    @pytest.fixture
    def realm(self, issuer: FakeIssuer) -> FakeRealm:
        return FakeRealm(issuer)


# --- what a token has to be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "which", "algorithm"),
    [
        ("RSA", 2048, "RS256"),
        ("RSA", 3072, "PS256"),
        ("EC", "P-256", "ES256"),
        ("OKP", "Ed25519", "EdDSA"),
    ],
)
async def test_each_allowed_algorithm_is_understood(
    issuer: FakeIssuer, clock: ManualClock, kind: str, which: Any, algorithm: str
) -> None:
    issuer.keys = [new_key(kind, which, id="other")]

    async with identity_of(issuer.address, clock) as identity:
        principal = await identity.identify(issuer.token(header={"alg": algorithm}))

    assert principal.subject == "ann"


@pytest.mark.parametrize(
    ("algorithm", "kind", "which"),
    [("RS512", "RSA", 2048), ("PS384", "RSA", 2048), ("ES384", "EC", "P-384")],
)
async def test_an_algorithm_that_is_not_allowed_is_refused_however_good_the_signature(
    issuer: FakeIssuer, clock: ManualClock, algorithm: str, kind: str, which: Any
) -> None:
    issuer.keys = [new_key(kind, which)]

    async with identity_of(issuer.address, clock) as identity:
        with pytest.raises(InvalidToken, match="not allowed"):
            await identity.identify(issuer.token(header={"alg": algorithm}))


async def test_a_key_is_used_with_its_own_algorithm_only(issuer: FakeIssuer, clock: ManualClock) -> None:
    issuer.keys = [new_key(alg="PS256")]

    async with identity_of(issuer.address, clock) as identity:
        await identity.identify(issuer.token(header={"alg": "PS256"}))
        with pytest.raises(InvalidToken, match="does not publish"):
            await identity.identify(issuer.token(header={"alg": "RS256"}))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": -31}, "expired"),
    "expired long ago": ({"exp": -10_000}, "expired"),
    "not valid yet": ({"nbf": 31}, "not valid yet"),
    "issued in the future": ({"iat": 31}, "issued in the future"),
    "issued by another": ({"iss": "https://another.example"}, "another issuer"),
    "issued by nearly the same": ({"iss": "/"}, "another issuer"),
    "for another": ({"aud": "another"}, "another audience"),
    "for nearly the same": ({"aud": AUDIENCE.upper()}, "another audience"),
    "for several others": ({"aud": ["a", "b"]}, "another audience"),
    "for nobody": ({"aud": []}, "another audience"),
    "for a number": ({"aud": 7}, "another audience"),
    "of nobody": ({"sub": ""}, "whom it is of"),
    "of a number": ({"sub": 7}, "whom it is of"),
    "of a name too long": ({"sub": "x" * 256}, "whom it is of"),
    "of a name with a zero in it": ({"sub": "a\0b"}, "whom it is of"),
    "expiring at no time": ({"exp": "tomorrow"}, "until when"),
    "expiring at no number": ({"exp": float("nan")}, "until when"),
    "valid from no time": ({"nbf": "now"}, "not valid yet"),
    "valid from true on": ({"exp": True}, "until when"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_token_that_is_not_for_us_now_is_refused_in_words(
    identity: Identity, issuer: FakeIssuer, what: str
) -> None:
    """Promise 19: expired, not yet valid, wrong audience or issuer; each a little beyond the leeway."""
    changes, reason = REFUSED[what]
    claims: dict[str, Any] = {
        name: int(issuer.now) + value if name in {"exp", "nbf", "iat"} and type(value) is int else value
        for name, value in changes.items()
    }
    if claims.get("iss") == "/":
        claims["iss"] = f"{issuer.address}/"

    with pytest.raises(InvalidToken, match=reason):
        await identity.identify(issuer.token(**claims))


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "sub"])
async def test_a_token_without_what_it_has_to_say_is_refused(
    identity: Identity, issuer: FakeIssuer, claim: str
) -> None:
    with pytest.raises(InvalidToken):
        await identity.identify(issuer.token(without=claim))


@pytest.mark.parametrize("claims", [{"exp": -29}, {"nbf": 29}, {"iat": 29}, {"aud": [AUDIENCE, "other"]}])
async def test_clocks_may_differ_a_little_and_there_may_be_other_audiences(
    identity: Identity, issuer: FakeIssuer, claims: dict[str, Any]
) -> None:
    told: dict[str, Any] = {
        name: int(issuer.now) + value if isinstance(value, int) else value for name, value in claims.items()
    }

    assert (await identity.identify(issuer.token(**told))).subject == "ann"


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
async def test_an_access_token_may_say_that_it_is_one(identity: Identity, issuer: FakeIssuer, kind: str | None) -> None:
    await identity.identify(issuer.token(header={"typ": kind}))


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt", "", 7])
async def test_a_token_of_another_kind_is_none_of_ours(identity: Identity, issuer: FakeIssuer, kind: Any) -> None:
    with pytest.raises(InvalidToken, match="another kind"):
        await identity.identify(issuer.token(header={"typ": kind}))


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": True}]
)
async def test_nothing_that_a_header_calls_critical_is_known(
    identity: Identity, issuer: FakeIssuer, header: dict[str, Any]
) -> None:
    with pytest.raises(InvalidToken):
        await identity.identify(issuer.token(header=header))


async def test_a_header_may_say_more_than_we_read(identity: Identity, issuer: FakeIssuer) -> None:
    """RFC 7515 §4: what is not understood is passed over; and addresses in it are not followed."""
    said = {"x5t": "abc", "jku": f"{issuer.address}/elsewhere", "their-own": {"a": 1}}

    await identity.identify(issuer.token(header=said))
    assert set(issuer.asked) == {DISCOVERY, KEYS}


GARBAGE = {
    "nothing": "",
    "a word": "token",
    "two parts": "a.b",
    "four parts": "a.b.c.d",
    "empty parts": "..",
    "no base64": "$$$.$$$.$$$",
    "no JSON": "YQ.YQ.YQ",
    "no object": f"{part([])}.{part([])}.YQ",
    "no algorithm": f"{part({})}.{part({})}.YQ",
    "an algorithm that is a list": f"{part({'alg': ['RS256']})}.{part({})}.YQ",
    "a key id that is an object": f"{part({'alg': 'RS256', 'kid': {}})}.{part({})}.YQ",
    "padding": f"{part({'alg': 'RS256'})}=.{part({})}.YQ",
    "letters of another script": "ÄÖÜ.ÄÖÜ.ÄÖÜ",
    "deep": f"{part('')}.{part('')}.".join(["W1tb" * 1000] * 2),
    "very deep": "W1tb" * 3000 + ".YQ.YQ",
    "16 KiB and one": "a" * (TOKEN_MOST + 1),
    "100 KB": "a" * 100_000,
    "100 KB with dots": ".".join(["a" * 33_000] * 3),
}


@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_is_refused_without_a_question_to_anybody(
    identity: Identity, issuer: FakeIssuer, what: str
) -> None:
    """Promise 19: 100 KB, garbage."""
    await identity.identify(issuer.token())
    asked = len(issuer.asked)

    with pytest.raises(InvalidToken):
        await identity.identify(GARBAGE[what])

    assert len(issuer.asked) == asked


async def test_signed_nonsense_is_refused(identity: Identity, issuer: FakeIssuer) -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]

    for claims in ({"scope": {"a": 1}, "scp": 7, "permissions": "x", "realm_access": []}, {"extra": deep}):
        assert not (await identity.identify(issuer.token(**claims))).may("operator")
    with pytest.raises(InvalidToken):
        await identity.identify(issuer.token(exp=-(10**400)))
    await identity.identify(issuer.token(exp=10**400))


async def test_neither_an_error_nor_the_log_nor_a_look_inside_shows_a_token(
    identity: Identity, issuer: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = issuer.token(aud="another")

    with pytest.raises(InvalidToken) as refused:
        await identity.identify(token)
    await identity.identify(good := issuer.token())

    everything = f"{refused.value!r} {caplog.text} {identity!r} {vars(identity)!r}"
    assert not any(piece in everything for piece in [*token.split("."), *good.split(".")])


# --- what a token may do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "openid orders:read profile"},
        {"scp": "orders:read openid"},
        {"scp": ["openid", "orders:read"]},
        {"permissions": ["orders:read"]},
        {"realm_access": {"roles": ["orders:read", "offline_access"]}},
        {"resource_access": {AUDIENCE: {"roles": ["orders:read"]}}},
    ],
)
async def test_scopes_stand_where_issuers_put_them(
    identity: Identity, issuer: FakeIssuer, claims: dict[str, Any]
) -> None:
    principal = await identity.identify(issuer.token(**{"scope": "", **claims}))

    assert principal.may("orders:read")
    assert not principal.may("orders:write")


async def test_roles_of_another_client_are_not_ours(identity: Identity, issuer: FakeIssuer) -> None:
    principal = await identity.identify(issuer.token(scope="", resource_access={"another": {"roles": ["operator"]}}))

    assert not principal.operates


async def test_other_claims_are_read_when_settings_name_them(issuer: FakeIssuer, clock: ManualClock) -> None:
    paths = ("https://example.com/roles", "groups.of.mine")
    namespaced: dict[str, Any] = {"https://example.com/roles": ["users:read"]}
    async with identity_of(issuer.address, clock, scope_claims=paths) as identity:
        one = await identity.identify(issuer.token(**namespaced))
        other = await identity.identify(issuer.token(groups={"of": {"mine": ["orders:read"]}}))

    assert (one.scopes, other.scopes) == (frozenset({"users:read"}), frozenset({"orders:read"}))


async def test_what_everybody_may_do_is_added(issuer: FakeIssuer, clock: ManualClock) -> None:
    async with identity_of(issuer.address, clock, default_scopes=("orders:read",)) as identity:
        principal = await identity.identify(issuer.token(without="scope"))

    assert principal.scopes == {"orders:read"}


# --- the keys ---------------------------------------------------------------------------------------------------------


async def test_a_flood_of_unknown_keys_makes_one_fetch_in_half_a_minute(
    identity: Identity, issuer: FakeIssuer, clock: ManualClock
) -> None:
    """Promise 19."""
    await identity.identify(issuer.token())
    fetched, eve = issuer.key_fetches, new_key(id="eve")

    async def flood() -> None:
        forged = [issuer.token(eve, header={"kid": f"eve-{number}"}) for number in range(50)]
        refused = await asyncio.gather(*map(identity.identify, forged), return_exceptions=True)
        assert all(isinstance(each, InvalidToken) for each in refused)

    await flood()
    await flood()
    assert issuer.key_fetches == fetched + 1
    await clock.advance(29.0)
    await flood()
    assert issuer.key_fetches == fetched + 1
    await clock.advance(1.0)
    await flood()
    assert issuer.key_fetches == fetched + 2
    await identity.identify(issuer.token())


async def test_an_unknown_key_that_comes_first_makes_no_second_fetch(identity: Identity, issuer: FakeIssuer) -> None:
    for number in range(10):
        with pytest.raises(InvalidToken):
            await identity.identify(issuer.token(header={"kid": f"eve-{number}"}))

    assert issuer.key_fetches == 1


async def test_keys_are_renewed_when_their_time_is_over(
    identity: Identity, issuer: FakeIssuer, clock: ManualClock, first_key: Key
) -> None:
    """Within one minute and two, whatever the issuer says; a key that is withdrawn is not accepted any longer."""
    await identity.identify(issuer.token())
    issuer.keys = [new_key(id="k2")]
    withdrawn = issuer.token(first_key, jti="another")

    await clock.advance(119)
    assert issuer.key_fetches == 1
    await clock.advance(1)
    await issuer.until_asked(KEYS, 2)
    issuer.now = clock.now().timestamp()
    await _until_known(identity, issuer.token())

    with pytest.raises(InvalidToken, match=r"does not publish|expired"):
        await identity.identify(withdrawn)


@pytest.mark.parametrize(
    ("says", "seconds"), [("no-store", 60), ("max-age=90", 90), ("max-age=1000000", 120), ("private", 120)]
)
async def test_how_long_keys_are_kept_has_bounds(
    issuer: FakeIssuer, clock: ManualClock, says: str, seconds: float
) -> None:
    issuer.cache_control = says
    async with identity_of(issuer.address, clock) as identity:
        await identity.identify(issuer.token())

        await clock.advance(seconds - 1)
        assert issuer.key_fetches == 1
        await clock.advance(1)
        await issuer.until_asked(KEYS, 2)


async def test_an_issuer_that_is_away_at_the_start_is_told_of_and_found_when_it_is_back(
    issuer: FakeIssuer, clock: ManualClock
) -> None:
    await issuer.stop()
    async with identity_of(issuer.address, clock) as identity:
        with pytest.raises(Unavailable) as away:
            await identity.identify(issuer.token())
        with pytest.raises(InvalidToken):
            await identity.identify("garbage")
        assert identity.trouble is not None
        assert "no token can be checked" in identity.trouble
        assert (away.value.retry_after or 0) >= 1

        await issuer.start()
        await clock.advance(15)
        await issuer.until_asked(KEYS, 1)
        await _until_known(identity, issuer.token())
        assert identity.trouble is None
        assert identity.sign_in == SignIn(f"{issuer.address}/authorize", f"{issuer.address}/token")


async def test_readiness_tells_soon_that_the_issuer_went_away_and_asks_nobody_for_it(issuer: FakeIssuer) -> None:
    """However long the keys could be kept, and though nobody comes with an unknown one; they stay good meanwhile."""
    issuer.cache_control = "max-age=86400"
    async with crossdock(CROSSDOCK_IDENTITY="oidc", OIDC_ISSUER=issuer.address, OIDC_AUDIENCE=AUDIENCE) as dock:
        await dock.client.get("/orders/", headers=_bearer(issuer.token()))
        before = (await dock.client.get("/readyz")).json()
        await issuer.stop()
        gone = dock.clock.now()
        await dock.clock.advance(120)

        told = await _readiness(dock, "degraded")
        asked = len(issuer.asked)
        again = (await dock.client.get("/readyz")).json()
        served = await dock.client.get("/orders/", headers=_bearer(issuer.token(jti="another")))
        await issuer.start()
        await dock.clock.advance(15)
        after = await _readiness(dock, "ready")

    detail = told["checks"]["identity"]["detail"]
    assert before["status"] == "ready"
    assert f"since {gone:%Y-%m-%dT%H}:02" in detail
    assert "the keys of before are used" in detail
    assert "connect" in detail.lower()
    assert (again, asked) == (told, 2)
    assert served.status_code == 200
    assert after["checks"]["identity"]["status"] == "ready"


async def test_an_issuer_that_fails_in_another_way_is_told_of_by_the_latest(
    identity: Identity, issuer: FakeIssuer, clock: ManualClock
) -> None:
    await identity.identify(issuer.token())
    issuer.status = 500
    await clock.advance(120)
    await issuer.until_asked(DISCOVERY, 2)
    first = await _trouble_with(identity, "500")
    issuer.status = 404
    await clock.advance(15)
    second = await _trouble_with(identity, "404")

    assert first.partition(", ")[0] == second.partition(", ")[0]


async def test_an_issuer_that_fails_is_told_of_while_its_keys_go_on(identity: Identity, issuer: FakeIssuer) -> None:
    await identity.identify(issuer.token())
    issuer.status = 500

    with pytest.raises(InvalidToken):
        await identity.identify(issuer.token(header={"kid": "new"}))

    assert identity.trouble is not None
    assert "the keys of before are used" in identity.trouble
    await identity.identify(issuer.token(jti="another"))


async def test_an_issuer_that_says_nothing_holds_nobody_up_for_long(issuer: FakeIssuer, clock: ManualClock) -> None:
    """Real time: the time-outs are those of sockets."""
    issuer.answers.clear()
    async with identity_of(issuer.address, clock) as identity:
        async with asyncio.timeout(6):
            with pytest.raises(Unavailable):
                await identity.identify(issuer.token())


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def _readiness(dock: Crossdock, status: str) -> Any:
    """What readiness says when it has become so: keys come over a socket, so poll, within a bound."""
    async with asyncio.timeout(10):
        while (told := (await dock.client.get("/readyz")).json())["status"] != status:  # noqa: ASYNC110 it comes over a socket
            await asyncio.sleep(0.01)
    return told


async def _trouble_with(identity: Identity, cause: str) -> str:
    async with asyncio.timeout(10):
        while cause not in (identity.trouble or ""):  # noqa: ASYNC110 the same
            await asyncio.sleep(0.01)
    return identity.trouble or ""


async def _until_known(identity: Identity, token: str) -> None:
    """The keys come over a socket: poll, within a bound."""
    async with asyncio.timeout(10):
        while True:
            try:
                await identity.identify(token)
            except (InvalidToken, Unavailable):
                await asyncio.sleep(0.01)
            else:
                return


# Of 1024 bits, which no library makes without complaint.
WEAK = {"kty": "RSA", "kid": "k1", "e": "AQAB", "n": "wA" + "A" * 169}
LIES: dict[str, dict[str, dict[str, Any]]] = {
    "another issuer": {DISCOVERY: {"issuer": "https://another.example", "jwks_uri": "https://another.example/keys"}},
    "no keys": {KEYS: {"keys": []}},
    "keys for secrets": {KEYS: {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}]}},
    "keys of a weak kind": {KEYS: {"keys": [WEAK]}},
    "keys to encrypt with": {KEYS: {"keys": [new_key(use="enc").as_dict(private=False)]}},
    "no list": {KEYS: {"keys": 7}},
    "nothing": {DISCOVERY: {}},
    "too much": {KEYS: {"keys": [{"kty": "x"}] * 10_000}},
}


@pytest.mark.parametrize("what", LIES)
async def test_an_issuer_that_cannot_be_believed_vouches_for_nobody(
    issuer: FakeIssuer, clock: ManualClock, what: str
) -> None:
    issuer.documents = {**LIES[what]}

    async with identity_of(issuer.address, clock) as identity:
        with pytest.raises(Unavailable):
            await identity.identify(issuer.token())

        assert identity.trouble is not None


async def test_keys_that_others_could_exchange_on_the_way_are_not_fetched(
    issuer: FakeIssuer, clock: ManualClock
) -> None:
    issuer.documents = {DISCOVERY: {"issuer": issuer.address, "jwks_uri": "http://elsewhere.example/keys"}}

    async with identity_of(issuer.address, clock) as identity:
        with pytest.raises(Unavailable):
            await identity.identify(issuer.token())

        assert "exchanged on the way" in (identity.trouble or "")


# --- what is remembered -----------------------------------------------------------------------------------------------


async def test_what_a_token_said_is_remembered_no_longer_than_it_holds(
    identity: Identity, issuer: FakeIssuer, clock: ManualClock
) -> None:
    token = issuer.token(exp=int(issuer.now) - 25)  # within the leeway for five more seconds
    await identity.identify(token)

    await clock.advance(4)
    await identity.identify(token)
    await clock.advance(2)
    with pytest.raises(InvalidToken, match="expired"):
        await identity.identify(token)


async def test_only_so_many_tokens_are_remembered(
    identity: OidcIdentity, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.identity.oidc.identity.REMEMBERED_MOST", 3)

    for number in range(10):
        await identity.identify(issuer.token(jti=str(number)))

    assert len(identity._remembered) == 3
