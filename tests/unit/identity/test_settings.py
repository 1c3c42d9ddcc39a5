import re
from pathlib import Path

import pytest

from entrypoints.settings import Settings, SettingsError
from entrypoints.settings_ports import NoIdentity, OidcIdentity

DOCS = Path(__file__).parents[3] / "docs" / "identity"
OIDC = {"CROSSDOCK_IDENTITY": "oidc", "OIDC_ISSUER": "https://issuer.example/realms/a", "OIDC_AUDIENCE": "my-api"}


def refused(**changes: str) -> str:
    """What the start says of these settings."""
    with pytest.raises(SettingsError) as error:
        Settings.load({**OIDC, **changes}, None)
    return str(error.value)


def test_nobody_has_to_say_who_is_calling_unless_it_is_set() -> None:
    assert Settings.defaults().identity == NoIdentity()


def test_an_issuer_and_an_audience_are_enough() -> None:
    identity = Settings.load(OIDC, None).identity

    assert isinstance(identity, OidcIdentity)
    assert identity.scope_paths[-1] == "resource_access.my-api.roles"
    assert "none" not in identity.algorithms
    assert not any(name.startswith("HS") for name in identity.algorithms)


@pytest.mark.parametrize("name", ["OIDC_ISSUER", "OIDC_AUDIENCE"])
def test_neither_of_the_two_may_be_missing(name: str) -> None:
    assert f"{name}: is missing: CROSSDOCK_IDENTITY is oidc" in refused(**{name: ""})


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("OIDC_ISSUER", "http://issuer.example/", "exchange the keys"),
        ("OIDC_ISSUER", "issuer.example", "no http address"),
        ("OIDC_ISSUER", "https://issuer.example/?tenant=1", "must have no user, query or fragment"),
        ("OIDC_ISSUER", "https://user:secret-4711@issuer.example/", "must have no user, query or fragment"),
        ("OIDC_AUDIENCE", "x" * 256, "is no audience"),
        ("CROSSDOCK_OIDC_ALGORITHMS", "RS256,none", "allows none, with which anybody could sign"),
        ("CROSSDOCK_OIDC_ALGORITHMS", "HS256", "allows HS256, with which anybody could sign"),
        ("CROSSDOCK_OIDC_ALGORITHMS", "RS256,RS256", "names one twice"),
        ("CROSSDOCK_OIDC_ALGORITHMS", "RSA", "not known"),
        ("CROSSDOCK_OIDC_ALGORITHMS", ",", "allows no algorithm"),
        ("CROSSDOCK_OIDC_LEEWAY", "301", "is not allowed"),
        ("CROSSDOCK_OIDC_LEEWAY", "-1", "is not allowed"),
        ("CROSSDOCK_OIDC_SCOPE_CLAIMS", ",".join(f"a{number}" for number in range(21)), "at most 20 claims"),
        ("CROSSDOCK_OIDC_DEFAULT_SCOPES", "orders:read,operator", "would make an operator of everybody"),
        ("CROSSDOCK_OIDC_DEFAULT_SCOPES", "orders:all", "names a scope that is not known"),
        ("CROSSDOCK_OIDC_DOCS_CLIENT_ID", "a b", "is not allowed"),
        ("OIDC_SSL_CAFILE", "/nowhere/ca.pem", "is no file"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(name: str, value: str, why: str) -> None:
    told = refused(**{name: value})

    assert name in told
    assert why in told
    assert "secret-4711" not in told


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8080/realms/a", "http://localhost:8080", "http://[::1]:8080/"])
def test_an_issuer_on_this_machine_may_speak_in_clear_text(issuer: str) -> None:
    Settings.load({**OIDC, "OIDC_ISSUER": issuer}, None)


@pytest.mark.parametrize("page", ["keycloak.md", "auth0.md", "firebase.md"])
def test_the_settings_of_each_page_of_the_docs_start(page: str) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    said = [
        dict(line.split("=", 1) for line in block.splitlines())
        for block in blocks
        if all(re.match(r"(CROSSDOCK|OIDC)_[A-Z_]+=", line) for line in block.splitlines())
    ]
    whole: dict[str, str] = {}
    for each in said:
        whole |= each
        assert isinstance(Settings.load(whole, None).identity, OidcIdentity)

    assert {"CROSSDOCK_IDENTITY", "OIDC_ISSUER", "OIDC_AUDIENCE"} <= set(said[0])
