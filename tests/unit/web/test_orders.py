from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.unit.web.talk import a_line_with, an_order_for, pointers, problem

NOBODY = "01a206f9-b14e-73c3-9267-e8f5a3c31663"


async def test_an_order_is_placed_and_can_be_looked_up_where_location_says(
    client: httpx.AsyncClient, user: Any
) -> None:
    answer = await client.post("/orders/", json=an_order_for(user))
    found = await client.get(answer.headers["location"])

    assert answer.status_code == 201
    assert answer.json() == {
        "id": answer.headers["location"].removeprefix("/orders/"),
        "user_id": user["id"],
        "status": "placed",
        "currency": "EUR",
        "lines": [{"sku": "apple", "quantity": 2, "unit_price": "9.90"}],
        "total": "19.80",
        "created_at": "2026-11-23T05:00:00.000000Z",
    }
    assert UUID(answer.json()["id"]).version == 7
    assert found.status_code == 200
    assert found.json() == answer.json()


@pytest.mark.parametrize(
    ("currency", "price", "total"), [("JPY", "500", "1000"), ("KWD", "0.125", "0.250"), ("EUR", "0", "0.00")]
)
async def test_amounts_have_as_many_decimals_as_their_currency(
    client: httpx.AsyncClient, user: Any, currency: str, price: str, total: str
) -> None:
    order = an_order_for(user, currency=currency, lines=[a_line_with(unit_price=price)])

    answer = await client.post("/orders/", json=order)

    assert answer.json()["total"] == total


async def test_the_largest_order_is_exact_to_the_last_cent(client: httpx.AsyncClient, user: Any) -> None:
    lines = [a_line_with(sku="s" * 64, quantity=10_000, unit_price="999999999999.99")] * 100

    answer = await client.post("/orders/", json=an_order_for(user, lines=lines))

    assert answer.status_code == 201
    assert answer.json()["total"] == "999999999999990000.00"


async def test_an_order_of_an_unknown_user_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/orders/", json=an_order_for({"id": str(uuid4())}))

    problem(answer, 422, "unknown-user")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"user_id": "17"}, "/user_id"),
        ({"user_id": 17}, "/user_id"),
        ({"user_id": None}, "/user_id"),
        ({"currency": "eur"}, "/currency"),
        ({"currency": "EURO"}, "/currency"),
        ({"currency": "XYZ"}, "/currency"),
        ({"currency": "EUR\n"}, "/currency"),
        ({"currency": 978}, "/currency"),
        ({"lines": []}, "/lines"),
        ({"lines": [a_line_with()] * 101}, "/lines"),
        ({"lines": {}}, "/lines"),
        ({"lines": "apple"}, "/lines"),
        ({"lines": ["apple"]}, "/lines/0"),
        ({"coupon": "FREE"}, "/coupon"),
        ({"total": "0.01"}, "/total"),
    ],
)
async def test_an_order_keeps_to_its_limits(
    client: httpx.AsyncClient, user: Any, changes: dict[str, Any], pointer: str
) -> None:
    answer = await client.post("/orders/", json=an_order_for(user, **changes))

    assert pointers(problem(answer, 422, "invalid-request")) == [pointer]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sku": ""}, "sku"),
        ({"sku": "  "}, "sku"),
        ({"sku": "s" * 65}, "sku"),
        ({"sku": "a\tb"}, "sku"),
        ({"sku": "a\x00b"}, "sku"),
        ({"sku": 1}, "sku"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 10_001}, "quantity"),
        ({"quantity": 10**30}, "quantity"),
        ({"quantity": "3"}, "quantity"),
        ({"quantity": 3.0}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"unit_price": 9.9}, "unit_price"),
        ({"unit_price": 9}, "unit_price"),
        ({"unit_price": ""}, "unit_price"),
        ({"unit_price": "-1"}, "unit_price"),
        ({"unit_price": "+1"}, "unit_price"),
        ({"unit_price": " 1"}, "unit_price"),
        ({"unit_price": "1e3"}, "unit_price"),
        ({"unit_price": "1,50"}, "unit_price"),
        ({"unit_price": "1."}, "unit_price"),
        ({"unit_price": ".5"}, "unit_price"),
        ({"unit_price": "9.999"}, "unit_price"),
        ({"unit_price": "NaN"}, "unit_price"),
        ({"unit_price": "Infinity"}, "unit_price"),
        ({"unit_price": "١"}, "unit_price"),
        ({"unit_price": "1000000000000"}, "unit_price"),
        ({"unit_price": "0" * 1000}, "unit_price"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_line_keeps_to_its_limits(
    client: httpx.AsyncClient, user: Any, changes: dict[str, Any], field: str
) -> None:
    order = an_order_for(user, lines=[a_line_with(), a_line_with(**changes)])

    answer = await client.post("/orders/", json=order)

    assert pointers(problem(answer, 422, "invalid-request")) == [f"/lines/1/{field}"]


async def test_all_fields_of_the_wrong_type_are_named_at_once(client: httpx.AsyncClient) -> None:
    lines = [a_line_with(quantity="3"), a_line_with(unit_price=1, sku=2)]

    answer = await client.post("/orders/", json={"user_id": "17", "currency": "eur", "lines": lines})

    assert pointers(problem(answer, 422, "invalid-request")) == [
        "/user_id",
        "/currency",
        "/lines/0/quantity",
        "/lines/1/sku",
        "/lines/1/unit_price",
    ]


async def test_all_lines_that_the_domain_refuses_are_named_at_once(client: httpx.AsyncClient, user: Any) -> None:
    lines = [a_line_with(unit_price="9.999"), a_line_with(), a_line_with(sku=" \u202e ")]

    answer = await client.post("/orders/", json=an_order_for(user, lines=lines))

    document = problem(answer, 422, "invalid-request")
    assert document["detail"] == "2 things are wrong with the request."
    assert document["errors"] == [
        {"pointer": "/lines/0/unit_price", "detail": "An amount in EUR has at most 2 digits after the point."},
        {"pointer": "/lines/2/sku", "detail": "A sku must not contain control or invisible characters."},
    ]


@pytest.mark.parametrize("id", [NOBODY, "17", "x" * 36, NOBODY.replace("-", "") + "----", "%00"])
async def test_an_id_that_no_order_has_is_not_found_uuid_or_not(client: httpx.AsyncClient, id: str) -> None:
    answer = await client.get(f"/orders/{id}")

    problem(answer, 404, "order-not-found")
