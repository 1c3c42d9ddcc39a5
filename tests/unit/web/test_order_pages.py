from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from entrypoints.web.cursors import order_cursor, position_cursor
from tests.unit.web.talk import an_order_for, locations, pointers, problem

NOBODY = UUID("01a206f9-b14e-73c3-9267-e8f5a3c31663")


async def _place(client: httpx.AsyncClient, user: Any, count: int) -> list[str]:
    """Place orders; their ids, newest first."""
    ids = [(await client.post("/orders/", json=an_order_for(user))).json()["id"] for _ in range(count)]
    return ids[::-1]


async def test_without_orders_there_is_one_empty_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/orders/")

    assert answer.status_code == 200
    assert answer.json() == {"items": [], "next_cursor": None}
    assert "link" not in answer.headers


async def test_pages_lead_through_all_orders_newest_first_and_each_once(client: httpx.AsyncClient, user: Any) -> None:
    ids = await _place(client, user, 5)

    seen, sizes = [], []
    answer = await client.get("/orders/", params={"limit": 2})
    while True:
        seen += [order["id"] for order in answer.json()["items"]]
        sizes.append(len(answer.json()["items"]))
        if "next" not in answer.links:
            break
        answer = await client.get(answer.links["next"]["url"])

    assert seen == ids
    assert sizes == [2, 2, 1]
    assert answer.json()["next_cursor"] is None


async def test_the_last_page_may_be_full(client: httpx.AsyncClient, user: Any) -> None:
    await _place(client, user, 2)

    answer = await client.get("/orders/?limit=2")

    assert len(answer.json()["items"]) == 2
    assert answer.json()["next_cursor"] is None


async def test_orders_that_are_placed_meanwhile_do_not_move_the_next_page(client: httpx.AsyncClient, user: Any) -> None:
    ids = await _place(client, user, 3)
    first = await client.get("/orders/?limit=2")
    await _place(client, user, 2)

    second = await client.get("/orders/", params={"cursor": first.json()["next_cursor"]})

    assert [order["id"] for order in second.json()["items"]] == ids[2:]


async def test_a_list_can_be_of_one_user_and_its_link_keeps_to_it(client: httpx.AsyncClient, user: Any) -> None:
    other = (await client.post("/register-user/", json={"email": "bob@example.com"})).json()
    mine = await _place(client, user, 2)
    await _place(client, other, 2)

    first = await client.get("/orders/", params={"user_id": user["id"], "limit": 1})
    second = await client.get(first.links["next"]["url"])

    assert [order["id"] for page in (first, second) for order in page.json()["items"]] == mine
    assert f"user_id={user['id']}" in first.headers["link"]


async def test_twenty_is_the_size_of_a_page_when_none_is_given(client: httpx.AsyncClient, user: Any) -> None:
    await _place(client, user, 21)

    answer = await client.get("/orders/")

    assert len(answer.json()["items"]) == 20


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=-1", "/limit"),
        ("limit=ten", "/limit"),
        ("limit=", "/limit"),
        ("limit=" + "9" * 5000, "/limit"),
        ("limit=5_0", "/limit"),
        ("limit=%205", "/limit"),
        ("limit=5.0", "/limit"),
        ("limit=%D9%A3", "/limit"),
        ("limit=5&limit=6", "/limit"),
        (f"user_id={NOBODY}&user_id={NOBODY}", "/user_id"),
        ("user_id=17", "/user_id"),
        ("user_id=", "/user_id"),
        ("cursor=", "/cursor"),
        ("cursor=nonsense", "/cursor"),
        ("cursor=%FF%00", "/cursor"),
        ("cursor=ä", "/cursor"),
        ("cursor=" + "A" * 1000, "/cursor"),
        (f"cursor={order_cursor(NOBODY)}x", "/cursor"),
        (f"cursor={order_cursor(NOBODY)[:-1]}", "/cursor"),
        (f"cursor={order_cursor(NOBODY)}==", "/cursor"),
        (f"cursor={position_cursor(7)}", "/cursor"),
        ("userid=17", "/userid"),
    ],
)
async def test_a_query_keeps_to_its_limits(client: httpx.AsyncClient, query: str, pointer: str) -> None:
    answer = await client.get(f"/orders/?{query}")

    document = problem(answer, 422, "invalid-request")
    assert (pointers(document), locations(document)) == ([pointer], {"query"})


async def test_a_cursor_with_one_changed_character_is_refused(client: httpx.AsyncClient) -> None:
    cursor = order_cursor(uuid4())

    for place, character in enumerate(cursor):
        changed = cursor[:place] + ("A" if character != "A" else "B") + cursor[place + 1 :]
        problem(await client.get("/orders/", params={"cursor": changed}), 422, "invalid-request")
