"""Tokens at the edge: who is let in, what others are told, and who sees whose users and orders."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from adapters.identity.anyone import Anyone
from domain.services.ownership import Ownership
from entrypoints.web.app import create_app
from entrypoints.web.docs import DocsClient
from ports.errors import Unavailable
from ports.identity import Identity, InvalidToken, Principal, SignIn
from tests.builders import an_id
from tests.unit.web.parts import Parts
from tests.unit.web.talk import client_of

ALL = "users:read users:write orders:read orders:write weather:read"
NEW_USER = {"email": "ann@example.com", "name": "Ann"}


class ToldIdentity(Identity):
    """Believes a token that is a name and scopes: ``ann orders:read``."""

    def __init__(self) -> None:
        self.fails_with: Exception | None = None
        self.asked = 0

    async def identify(self, token: str) -> Principal:
        self.asked += 1
        if self.fails_with is not None:
            raise self.fails_with
        name, _, scopes = token.partition("/")
        if not (name.isascii() and name.isalpha()):
            raise InvalidToken("The token has expired.")
        return Principal("https://issuer.example", name, frozenset(scopes.split("/")))


def bearer(name: str, scopes: str = ALL) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}/{scopes.replace(' ', '/')}"}


ANN, EVE = bearer("ann"), bearer("eve")
OPERATOR = bearer("olga", "operator")


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    parts = Parts()
    parts.caller = ToldIdentity()
    await parts.store.start()
    yield parts
    await parts.store.stop()


@pytest.fixture
async def client(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(parts, operator_token="the-operator's-token")) as client:
        yield client


def an_order_for(user: Any) -> dict[str, Any]:
    return {"user_id": user["id"], "currency": "EUR", "lines": [{"sku": "tea", "quantity": 1, "unit_price": "9.90"}]}


@pytest.fixture
async def user(client: httpx.AsyncClient) -> Any:
    """Registered by Ann."""
    return (await client.post("/register-user/", json=NEW_USER, headers=ANN)).json()


@pytest.fixture
async def order(client: httpx.AsyncClient, user: Any) -> Any:
    """Placed by Ann."""
    return (await client.post("/orders/", json=an_order_for(user), headers=ANN)).json()


BUSINESS = [
    ("POST", "/register-user/", "users:write"),
    ("GET", "/users/01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87", "users:read"),
    ("POST", "/orders/", "orders:write"),
    ("GET", "/orders/01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87", "orders:read"),
    ("GET", "/orders/", "orders:read"),
    ("GET", "/weather/Paris", "weather:read"),
]


# --- who is let in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [each[:2] for each in BUSINESS])
@pytest.mark.parametrize("said", [None, "Basic YW5uOnNlY3JldA==", "ann"])
async def test_who_brings_no_token_is_told_that_one_is_needed(
    client: httpx.AsyncClient, method: str, path: str, said: str | None
) -> None:
    """RFC 6750 §3.1: no error is named to whoever did not try; and no body is looked at."""
    headers = {} if said is None else {"Authorization": said}

    answer = await client.request(method, path, headers=headers, content=b"{")

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="crossdock"'


@pytest.mark.parametrize(("method", "path"), [each[:2] for each in BUSINESS])
@pytest.mark.parametrize("token", ["", " ", "7", "\xff"])
async def test_a_token_that_is_not_believed_is_refused_with_the_reason(
    client: httpx.AsyncClient, method: str, path: str, token: str
) -> None:
    answer = await client.request(method, path, headers={b"Authorization": f"Bearer {token}".encode("latin-1")})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token")
    assert answer.json()["detail"] == "The token has expired."
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge == 'Bearer realm="crossdock", error="invalid_token", error_description="The token has expired."'


@pytest.mark.parametrize(("method", "path", "scope"), BUSINESS)
async def test_a_token_without_the_scope_does_not_do(
    client: httpx.AsyncClient, method: str, path: str, scope: str
) -> None:
    others = " ".join(each for each in ALL.split() if each != scope)

    answer = await client.request(method, path, headers=bearer("ann", others))

    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient-scope")
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge == f'Bearer realm="crossdock", error="insufficient_scope", scope="{scope}"'


@pytest.mark.parametrize(("method", "path", "scope"), BUSINESS)
async def test_a_token_with_the_scope_alone_does(client: httpx.AsyncClient, method: str, path: str, scope: str) -> None:
    answer = await client.request(method, path, headers=bearer("ann", scope))

    assert answer.status_code not in {401, 403}


async def test_two_tokens_are_one_too_many(client: httpx.AsyncClient) -> None:
    both = [("Authorization", ANN["Authorization"]), ("Authorization", EVE["Authorization"])]

    answer = await client.get("/orders/", headers=both)

    assert answer.status_code == 401
    assert 'error="invalid_request"' in answer.headers["WWW-Authenticate"]


async def test_the_word_bearer_is_written_as_one_likes(client: httpx.AsyncClient) -> None:
    headers = {"Authorization": ANN["Authorization"].replace("Bearer", "bEARER")}

    assert (await client.get("/orders/", headers=headers)).status_code == 200


async def test_a_token_in_the_address_is_none(client: httpx.AsyncClient) -> None:
    assert (await client.get("/weather/Paris?access_token=ann/weather:read")).status_code == 401


async def test_a_token_that_cannot_be_checked_now_is_not_refused_for_good(
    client: httpx.AsyncClient, parts: Parts
) -> None:
    assert isinstance(parts.caller, ToldIdentity)
    parts.caller.fails_with = Unavailable("issuer.example did not answer", retry_after=7)

    answer = await client.get("/orders/", headers=ANN)

    assert (answer.status_code, answer.json()["code"]) == (503, "identity-unavailable")
    assert answer.headers["Retry-After"] == "7"
    assert "issuer.example" not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/problems/invalid-token"])
async def test_what_is_for_everybody_stays_so(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


async def test_without_an_issuer_nobody_is_asked_for_anything(parts: Parts) -> None:
    parts.caller = Anyone()
    async with client_of(create_app(parts, operator_token=None)) as client:
        user = (await client.post("/register-user/", json=NEW_USER, headers=bearer("x"))).json()
        placed = await client.post("/orders/", json=an_order_for(user))

        assert placed.status_code == 201
        assert (await client.get(placed.headers["Location"])).status_code == 200
        assert "accessToken" not in (await client.get("/openapi.json")).text


# --- the operator -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["the-operator's-token", "olga/operator"])
async def test_the_desk_opens_to_its_token_and_to_one_of_the_scope(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.get("/operator/api/dead-letters", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 200


@pytest.mark.parametrize(("headers", "status"), [(ANN, 403), ({"Authorization": "Bearer 7"}, 401), ({}, 401)])
async def test_the_desk_opens_to_nobody_else(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    answer = await client.get("/operator/api/dead-letters", headers=headers)

    assert answer.status_code == status
    assert 'realm="operator"' in answer.headers["WWW-Authenticate"]


async def test_without_a_token_of_its_own_the_desk_opens_to_the_scope_alone(parts: Parts) -> None:
    async with client_of(create_app(parts, operator_token=None)) as client:
        assert (await client.get("/operator/api/status", headers=OPERATOR)).status_code == 200
        assert (await client.get("/operator/api/status", headers=ANN)).status_code == 403
        assert (await client.get("/operator/?token=")).status_code == 401


async def test_the_token_of_the_desk_opens_nothing_else(client: httpx.AsyncClient) -> None:
    answer = await client.get("/orders/", headers={"Authorization": "Bearer the-operator's-token"})

    assert answer.status_code == 401


# --- who sees what ----------------------------------------------------------------------------------------------------


async def test_an_owner_and_an_operator_see_a_user_and_to_others_there_is_none(
    client: httpx.AsyncClient, user: Any
) -> None:
    mine, anybodys = await client.get(f"/users/{user['id']}", headers=ANN), f"/users/{user['id']}"
    hers = await client.get(anybodys, headers=EVE)
    nobodys = await client.get(f"/users/{an_id()}", headers=EVE)

    assert mine.json() == (await client.get(anybodys, headers=OPERATOR)).json() == user
    assert (hers.status_code, hers.json()["code"]) == (404, "user-not-found")
    assert _without_names(hers) == _without_names(nobodys)


async def test_an_owner_and_an_operator_see_an_order_and_to_others_there_is_none(
    client: httpx.AsyncClient, order: Any
) -> None:
    address = f"/orders/{order['id']}"
    hers, nobodys = await client.get(address, headers=EVE), await client.get(f"/orders/{an_id()}", headers=EVE)

    assert (await client.get(address, headers=ANN)).json() == order
    assert (await client.get(address, headers=OPERATOR)).json() == order
    assert (hers.status_code, hers.json()["code"]) == (404, "order-not-found")
    assert _without_names(hers) == _without_names(nobodys)


async def test_nobody_places_an_order_for_a_user_of_another(client: httpx.AsyncClient, user: Any, parts: Parts) -> None:
    hers = await client.post("/orders/", json=an_order_for(user), headers=EVE)
    nobodys = await client.post("/orders/", json=an_order_for({"id": str(an_id())}), headers=EVE)
    operators = await client.post("/orders/", json=an_order_for(user), headers=OPERATOR)

    assert (hers.status_code, hers.json()["code"]) == (422, "unknown-user")
    assert _without_names(hers) == _without_names(nobodys)
    assert operators.status_code == 201
    assert [each.id for each in await parts.store.orders.page(user_id=None, before=None, limit=10)]


@pytest.mark.usefixtures("order")
async def test_a_list_has_the_orders_of_the_callers_users_only(client: httpx.AsyncClient, user: Any) -> None:
    second = (await client.post("/register-user/", json={"email": "ann2@example.com"}, headers=ANN)).json()
    other = (await client.post("/register-user/", json={"email": "eve@example.com"}, headers=EVE)).json()
    for each, who in ((second, ANN), (other, EVE), (user, ANN)):
        await client.post("/orders/", json=an_order_for(each), headers=who)

    async def listed(who: dict[str, str], query: str = "") -> list[str]:
        return [each["user_id"] for each in (await client.get(f"/orders/{query}", headers=who)).json()["items"]]

    assert await listed(ANN) == [user["id"], second["id"], user["id"]]
    assert await listed(EVE) == [other["id"]]
    assert await listed(OPERATOR) == [user["id"], other["id"], second["id"], user["id"]]
    assert await listed(ANN, f"?user_id={user['id']}") == [user["id"]] * 2
    assert await listed(EVE, f"?user_id={user['id']}") == []
    assert await listed(EVE, f"?user_id={an_id()}") == []
    assert await listed(OPERATOR, f"?user_id={other['id']}") == [other["id"]]


async def test_pages_of_an_owner_follow_one_another(client: httpx.AsyncClient, user: Any) -> None:
    placed = [(await client.post("/orders/", json=an_order_for(user), headers=ANN)).json()["id"] for _ in range(5)]
    seen: list[str] = []
    address = "/orders/?limit=2"
    while address:
        answer = await client.get(address, headers=ANN)
        seen += [each["id"] for each in answer.json()["items"]]
        address = answer.links["next"]["url"] if "next" in answer.links else ""

    assert seen == placed[::-1]


async def test_the_same_name_at_another_issuer_is_somebody_else(parts: Parts, user: Any) -> None:
    class Another(ToldIdentity):
        async def identify(self, token: str) -> Principal:
            principal = await super().identify(token)
            return Principal("https://another.example", principal.subject, principal.scopes)

    parts.caller = Another()
    async with client_of(create_app(parts, operator_token=None)) as client:
        assert (await client.get(f"/users/{user['id']}", headers=ANN)).status_code == 404


async def test_a_user_registered_before_there_were_callers_is_an_operators_alone(parts: Parts) -> None:
    told, parts.caller = parts.caller, Anyone()
    async with client_of(create_app(parts, operator_token=None)) as client:
        user = (await client.post("/register-user/", json=NEW_USER)).json()
    parts.caller = told
    async with client_of(create_app(parts, operator_token=None)) as client:
        assert (await client.get(f"/users/{user['id']}", headers=ANN)).status_code == 404
        assert (await client.get(f"/users/{user['id']}", headers=OPERATOR)).status_code == 200


async def test_what_somebody_owns_is_looked_up_once(parts: Parts, client: httpx.AsyncClient, order: Any) -> None:
    """A token makes no second read of every order that is looked at."""
    reads = 0
    honest = parts.store.users.get

    async def counted(id: Any) -> Any:
        nonlocal reads
        reads += 1
        return await honest(id)

    parts.store.users.get = counted  # type: ignore[method-assign]
    parts.ownership = Ownership(parts.store.users)
    for _ in range(5):
        await client.get(f"/orders/{order['id']}", headers=ANN)

    assert reads == 1


# --- the page of the API ----------------------------------------------------------------------------------------------


class WithSignIn(ToldIdentity):
    @property
    def sign_in(self) -> SignIn:
        return SignIn("https://issuer.example/auth", "https://tokens.example/token", frozenset({"orders:read"}))


async def test_the_page_signs_nobody_in_unless_a_client_is_set(client: httpx.AsyncClient) -> None:
    assert (await client.get("/docs/sign-in")).json() == {"client_id": None}
    assert "connect-src 'self';" in (await client.get("/docs")).headers["Content-Security-Policy"]


async def test_the_page_learns_where_people_sign_in_and_may_trade_codes_there_and_nowhere_else(parts: Parts) -> None:
    parts.caller = WithSignIn()
    app = create_app(parts, operator_token=None, docs_client=DocsClient("docs", "my-api"))
    async with client_of(app) as client:
        told = (await client.get("/docs/sign-in")).json()
        page = await client.get("/docs")
        back = await client.get("/docs/signed-in?code=canary-4711&state=x")

    assert told["authorization_url"] == "https://issuer.example/auth"
    assert told["wanted"] == ["openid", "orders:read"]
    assert "connect-src 'self' https://tokens.example;" in page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in back.headers["Content-Security-Policy"]
    assert "canary-4711" not in back.text


# --- the document -----------------------------------------------------------------------------------------------------


async def test_the_document_says_which_scope_each_operation_wants(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    paths = document["paths"]
    assert paths["/orders/"]["post"]["security"] == [{"accessToken": ["orders:write"]}]
    assert paths["/weather/{city}"]["get"]["security"] == [{"accessToken": ["weather:read"]}]
    assert {"accessToken": ["operator"]} in paths["/operator/api/status"]["get"]["security"]
    assert "security" not in paths["/livez"]["get"] or paths["/livez"]["get"]["security"] == []
    assert {"401", "403"} <= set(paths["/orders/"]["get"]["responses"])
    assert document["components"]["securitySchemes"]["accessToken"]["bearerFormat"] == "JWT"


async def test_problems_of_one_status_are_all_named_for_each_operation(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    for operation, codes in {
        ("/orders/", "post"): {"identity-unavailable", "overloaded", "storage-unavailable"},
        ("/weather/{city}", "get"): {
            "identity-unavailable",
            "overloaded",
            "weather-not-configured",
            "weather-unavailable",
        },
        ("/operator/api/status", "get"): {"identity-unavailable", "overloaded", "storage-unavailable"},
    }.items():
        path, method = operation
        told = document["paths"][path][method]["responses"]["503"]
        assert set(told["content"]["application/problem+json"]["examples"]) == codes
        assert all(f"`{code}`" in told["description"] for code in codes)
        assert "Retry-After" in told["headers"]
    replay = document["paths"]["/operator/api/dead-letters/{id}/replay"]["post"]["responses"]["403"]
    assert replay["description"] == "`cross-site-request`, `insufficient-scope`"
    assert codes <= document["components"]["examples"].keys()


def _without_names(answer: httpx.Response) -> dict[str, Any]:
    """The problem, but for what names this request."""
    return {name: value for name, value in answer.json().items() if name not in {"instance", "request_id"}}


async def test_the_keys_of_others_are_none_of_ours(client: httpx.AsyncClient) -> None:
    """Neither does anybody learn what another was answered, nor can a key be taken away from its owner."""
    key = {"Idempotency-Key": "1"}

    of_ann = await client.post("/register-user/", json=NEW_USER, headers=ANN | key)
    of_eve = await client.post("/register-user/", json={"email": "eve@example.com"}, headers=EVE | key)
    again = await client.post("/register-user/", json=NEW_USER, headers=ANN | key)

    assert [answer.status_code for answer in (of_ann, of_eve, again)] == [201, 201, 201]
    assert of_ann.content == again.content != of_eve.content
    assert "idempotency-replayed" not in of_eve.headers
