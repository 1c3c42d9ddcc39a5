from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Scope

from adapters.rate_limit.memory import MemoryRateLimit
from entrypoints.web.app import create_app
from entrypoints.web.callers import Callers
from entrypoints.web.edge_options import EdgeOptions
from ports.identity import Identity, InvalidToken, Principal
from tests.unit.web.parts import Parts
from tests.unit.web.talk import OPERATOR_TOKEN, client_of, problem


class Known(Identity):
    """Knows tokens of the form ``subject``; whatever begins with ``bad`` is none."""

    async def identify(self, token: str) -> Principal:
        if token.startswith("bad"):
            raise InvalidToken("The token is not valid.")
        return Principal("https://issuer.example", token, frozenset({"orders:read"}))


def limited(parts: Parts, *, count: int = 3, **options: Any) -> FastAPI:
    limit = MemoryRateLimit(count, 60, clock=parts.time)
    return create_app(parts, operator_token=OPERATOR_TOKEN, edge=EdgeOptions(rate_limit=limit, **options))


async def test_each_answer_says_what_is_left_and_the_last_when_to_come_again(parts: Parts) -> None:
    async with client_of(limited(parts)) as client:
        answers = [await client.get("/orders/"), await client.get("/nothing"), await client.head("/docs")]
        refused = await client.get("/orders/")

    assert [answer.status_code for answer in answers] == [200, 404, 200]
    assert [answer.headers["ratelimit"] for answer in answers] == [f'"caller";r={left};t=60' for left in (2, 1, 0)]
    assert {answer.headers["ratelimit-policy"] for answer in (*answers, refused)} == {'"caller";q=3;w=60'}
    document = problem(refused, 429, "rate-limited")
    assert document["detail"] == "A caller may ask 3 times in 60 seconds."
    assert refused.headers["retry-after"] == "60"
    assert refused.headers["ratelimit"] == '"caller";r=0;t=60'


async def test_after_as_long_as_it_was_told_a_caller_is_served_again(parts: Parts) -> None:
    async with client_of(limited(parts, count=1)) as client:
        await client.get("/orders/")
        await parts.time.advance(20.5)
        refused = await client.get("/orders/")
        await parts.time.advance(float(refused.headers["retry-after"]))
        served = await client.get("/orders/")

    assert refused.headers["retry-after"] == "40"
    assert (refused.status_code, served.status_code) == (429, 200)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_probes_are_never_limited_and_count_for_nobody(parts: Parts, path: str) -> None:
    async with client_of(limited(parts, count=1)) as client:
        answers = [await client.get(path) for _ in range(5)]
        served = await client.get("/orders/")

    assert [answer.status_code for answer in answers] == [200] * 5
    assert not any("ratelimit" in answer.headers or "ratelimit-policy" in answer.headers for answer in answers)
    assert served.status_code == 200


async def test_where_nothing_is_set_nobody_is_limited_and_nothing_said_of_it(client: httpx.AsyncClient) -> None:
    answers = [await client.get("/orders/") for _ in range(50)]

    assert {answer.status_code for answer in answers} == {200}
    assert not any("ratelimit" in answer.headers for answer in answers)


async def test_what_is_refused_does_nothing(parts: Parts) -> None:
    async with client_of(limited(parts, count=1)) as client:
        await client.get("/orders/")
        refused = await client.post("/register-user/", json={"email": "ann@example.com"})
        await parts.time.advance(60)
        registered = await client.post("/register-user/", json={"email": "ann@example.com"})

    assert (refused.status_code, registered.status_code) == (429, 201)


async def test_a_caller_with_a_token_is_who_it_says_and_not_its_address(parts: Parts) -> None:
    parts.caller = Known()
    async with client_of(limited(parts, count=1)) as client:
        ann = [await client.get("/orders/", headers={"Authorization": "Bearer ann"}) for _ in range(2)]
        bob = await client.get("/orders/", headers={"Authorization": "Bearer bob"})
        nobody = [await client.get("/orders/", headers={"Authorization": f"Bearer bad{n}"}) for n in range(2)]

    assert [answer.status_code for answer in ann] == [200, 429]
    assert bob.status_code == 200
    assert [answer.status_code for answer in nobody] == [401, 429]  # made up tokens make nobody somebody else


def a_scope(host: str, *forwarded: str) -> Scope:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    return {"type": "http", "client": (host, 40_000), "headers": headers}


TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


@pytest.mark.parametrize(
    ("host", "forwarded", "name"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.1, 203.0.113.9, 10.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.1", "203.0.113.9", "10.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["," * 10_000 + "203.0.113.9"], "203.0.113.9"),
        ("2001:db8:ffff::1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:1:2:a::1", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:b::2", [], "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", [], "198.51.100.7"),
        ("fe80::1%eth0", [], "fe80::/64"),
    ],
)
async def test_a_caller_is_the_nearest_address_that_is_no_trusted_proxy(
    host: str, forwarded: list[str], name: str
) -> None:
    assert await Callers(None, TRUSTED).name_of(a_scope(host, *forwarded)) == name


async def test_nobody_is_believed_unless_it_is_set() -> None:
    assert await Callers(None, ()).name_of(a_scope("10.0.0.1", "203.0.113.9")) == "10.0.0.1"


async def test_a_request_without_an_address_has_a_name_too() -> None:
    assert await Callers(None, ()).name_of({"type": "http", "client": None, "headers": []}) == ""
