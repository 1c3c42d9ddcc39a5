import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from entrypoints.web.bodies import BODY_MOST, WHOLE
from tests.unit.web.talk import an_order_for, check_problem, pointers, problem

JSON = {"Content-Type": "application/json"}


async def _post(client: httpx.AsyncClient, body: bytes, content_type: str = "application/json") -> httpx.Response:
    return await client.post("/orders/", content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{]",
        b"nothing",
        b"{'user_id': 1}",
        b'{"user_id": 1,}',
        b"\xef\xbb\xbf{}",
        b'{"user_id": "\xff"}',
        b'{"user_id": "\\ud800"}',
        b'{"\\udc00": 1}',
        b'{"user_id": "a\x00b"}',
        b"[" * 200_000,
        b'{"a":' * 50_000,
        b'{"lines": ' + b"1" * 100_000 + b"}",
        "{}".encode("utf-16"),
        b'{"lines": NaN}',
        b'{"user_id": -Infinity}',
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_what_is_no_json_is_malformed(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await _post(client, body)

    problem(answer, 400, "malformed-json")


@pytest.mark.parametrize("number", ["1e999", "-0", "1E400", "0.0"])
async def test_a_quantity_that_is_no_whole_number_is_refused_however_it_is_written(
    client: httpx.AsyncClient, user: Any, number: str
) -> None:
    body = json.dumps(an_order_for(user)).replace('"quantity": 2', f'"quantity": {number}')

    answer = await _post(client, body.encode())

    assert pointers(problem(answer, 422, "invalid-request")) == ["/lines/0/quantity"]


@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"17", b"true"])
async def test_json_that_is_no_object_is_refused_as_a_whole(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await _post(client, body)

    assert pointers(problem(answer, 422, "invalid-request")) == [""]


async def test_a_name_that_stands_twice_is_refused_whichever_was_meant(client: httpx.AsyncClient, user: Any) -> None:
    body = json.dumps(an_order_for(user))

    outer = await _post(client, body.replace('"currency"', '"currency": "USD", "currency"').encode())
    inner = await _post(client, body.replace('"quantity"', '"quantity": 1, "quantity"').encode())

    problem(outer, 400, "malformed-json")
    problem(inner, 400, "malformed-json")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/vnd.crossdock+json",
    ],
)
async def test_json_may_be_called_so_in_several_ways(client: httpx.AsyncClient, user: Any, content_type: str) -> None:
    answer = await _post(client, json.dumps(an_order_for(user)).encode(), content_type)

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "json",
        "text/plain",
        "text/json",
        "application/",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "multipart/form-data; boundary=x",
    ],
)
async def test_a_body_of_another_type_is_not_looked_at(client: httpx.AsyncClient, user: Any, content_type: str) -> None:
    answer = await _post(client, json.dumps(an_order_for(user)).encode(), content_type)

    problem(answer, 415, "unsupported-media-type")
    assert answer.headers["accept-post"] == "application/json"


async def test_a_body_without_a_type_is_not_looked_at(client: httpx.AsyncClient, user: Any) -> None:
    answer = await client.post("/orders/", content=json.dumps(an_order_for(user)).encode())

    problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, gzip"])
async def test_a_compressed_body_is_refused_as_one(client: httpx.AsyncClient, user: Any, coding: str) -> None:
    body = gzip.compress(json.dumps(an_order_for(user)).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}

    answer = await client.post("/orders/", content=body, headers=headers)

    problem(answer, 415, "unsupported-media-type")
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["gzip", "br", "xyz", "identity, gzip", "GZIP"])
async def test_a_coding_that_is_named_is_refused_whether_the_body_has_it_or_not(
    client: httpx.AsyncClient, user: Any, coding: str
) -> None:
    """Who stands before us may have believed the header, and read something else."""
    answer = await client.post("/orders/", json=an_order_for(user), headers={"Content-Encoding": coding})

    problem(answer, 415, "unsupported-media-type")
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_as_it_is_may_be_called_so(client: httpx.AsyncClient, user: Any, coding: str) -> None:
    answer = await client.post("/orders/", json=an_order_for(user), headers={"Content-Encoding": coding})

    assert answer.status_code == 201


async def test_a_body_of_256_kib_is_read_and_one_byte_more_is_not(client: httpx.AsyncClient, user: Any) -> None:
    body = json.dumps(an_order_for(user)).encode()

    most = await _post(client, body.ljust(BODY_MOST))
    more = await _post(client, body.ljust(BODY_MOST + 1))

    assert BODY_MOST == 256 * 1024
    assert most.status_code == 201
    problem(more, 413, "content-too-large")
    assert more.headers["connection"] == "close"


@pytest.mark.parametrize("is_whole", [True, False])
async def test_the_same_bound_holds_for_a_body_that_came_with_its_head(app: FastAPI, user: Any, is_whole: bool) -> None:
    """The server says so of it, and then nobody waits for the rest."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if is_whole:
            scope[WHOLE] = True
        await app(scope, receive, send)

    async def in_pieces(body: bytes) -> AsyncIterator[bytes]:  # so that no length is announced
        yield body

    body = json.dumps(an_order_for(user)).encode()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://test") as client:
        most = await client.post("/orders/", content=in_pieces(body.ljust(BODY_MOST)), headers=JSON)
        more = await client.post("/orders/", content=in_pieces(body.ljust(BODY_MOST + 1)), headers=JSON)

    assert most.status_code == 201
    problem(more, 413, "content-too-large")


@pytest.mark.parametrize("path", ["/nothing", "/livez", "/orders/"])
async def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(
    client: httpx.AsyncClient, path: str
) -> None:
    sent = []

    async def body() -> AsyncIterator[bytes]:
        sent.append("something")
        yield b""

    for length in ("262145", "1" * 5000):
        answer = await client.post(path, content=body(), headers=JSON | {"Content-Length": length})
        problem(answer, 413, "content-too-large")

    assert sent == []


async def test_a_body_without_a_length_is_stopped_as_soon_as_it_is_too_large(client: httpx.AsyncClient) -> None:
    sent = []

    async def body() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            sent.append(16 * 1024)
            yield b" " * 16 * 1024

    answer = await client.post("/orders/", content=body(), headers=JSON)

    problem(answer, 413, "content-too-large")
    assert sum(sent) == BODY_MOST + 16 * 1024


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), content_type=st.sampled_from(["application/json", "text/plain", "x/y; charset=z"]))
async def test_no_bytes_bring_the_service_down(client: httpx.AsyncClient, body: bytes, content_type: str) -> None:
    answer = await _post(client, body, content_type)

    assert answer.status_code in {400, 415, 422}
    check_problem(answer)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_odd = _values | st.sampled_from(["", "0", "9.90", "EUR", 1, 10_000, -1, 2**64, "\x00", "\ud800", "\u202e", "A" * 65])
_lines = st.lists(
    st.fixed_dictionaries({}, optional={"sku": _odd, "quantity": _odd, "unit_price": _odd, "more": _odd}) | _odd,
    max_size=3,
)
_orders = st.fixed_dictionaries({}, optional={"user_id": _odd, "currency": _odd, "lines": _lines | _odd, "more": _odd})


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=_orders | _values, path=st.sampled_from(["/orders/", "/register-user/"]), ascii=st.booleans())
async def test_no_json_brings_the_service_down(
    client: httpx.AsyncClient, order: object, path: str, ascii: bool
) -> None:
    body = json.dumps(order, ensure_ascii=ascii).encode("utf-8", "surrogatepass")

    answer = await client.post(path, content=body, headers=JSON)

    assert answer.status_code in {400, 422}
    check_problem(answer)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(["sku", "quantity", "unit_price"]), _odd))
async def test_a_good_order_with_an_odd_line_is_placed_or_refused_in_that_line(
    client: httpx.AsyncClient, user: Any, changes: dict[str, Any]
) -> None:
    line = {"sku": "apple", "quantity": 1, "unit_price": "1"} | changes
    body = json.dumps(an_order_for(user, lines=[line]))

    answer = await client.post("/orders/", content=body.encode(), headers=JSON)

    if answer.status_code == 422:
        assert all(pointer.startswith("/lines/0/") for pointer in pointers(answer.json()))
    else:
        assert answer.status_code in {201, 400}


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(st.characters(codec="utf-8"), max_size=60), query=st.text(st.characters(codec="utf-8"), max_size=30)
)
async def test_no_path_brings_the_service_down(client: httpx.AsyncClient, path: str, query: str) -> None:
    url = httpx.URL("http://crossdock.test").copy_with(
        raw_path=("/" + httpx.QueryParams({"p": path, "q": query}).__str__().replace("p=", "", 1)).encode()
    )

    answer = await client.get(url)

    assert answer.status_code in {200, 307, 404, 405, 422}
