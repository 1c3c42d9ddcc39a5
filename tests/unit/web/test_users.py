from typing import Any

import httpx
import pytest

from ports.deliveries import Lane
from tests.unit.web.parts import HoldingTaskQueue, Parts
from tests.unit.web.talk import pointers, problem

NOBODY = "01a206f9-b14e-73c3-9267-e8f5a3c31663"


async def test_a_user_registers_and_can_be_looked_up_where_location_says(client: httpx.AsyncClient) -> None:
    answer = await client.post("/register-user/", json={"email": "ann@example.com", "name": "Ann"})
    found = await client.get(answer.headers["location"])

    assert answer.status_code == 201
    assert answer.json() == {
        "id": answer.headers["location"].removeprefix("/users/"),
        "email": "ann@example.com",
        "name": "Ann",
        "registered_at": "2026-11-23T05:00:00.000000Z",
    }
    assert found.status_code == 200
    assert found.json() == answer.json()


async def test_a_name_is_optional(client: httpx.AsyncClient) -> None:
    without = await client.post("/register-user/", json={"email": "a@example.com"})
    null = await client.post("/register-user/", json={"email": "b@example.com", "name": None})

    assert without.json()["name"] is None
    assert null.json()["name"] is None


async def test_registration_asks_for_the_welcome_mail_and_tells_of_the_user(
    client: httpx.AsyncClient, parts: Parts
) -> None:
    await client.post("/register-user/", json={"email": "ann@example.com"})

    counts = await parts.store.ledger.counts()
    assert {lane: sum(n for (of, _), n in counts.items() if of is lane) for lane in Lane} == {
        Lane.EVENT: 1,
        Lane.TASK: 1,
        Lane.RECEIVED: 0,
    }


@pytest.mark.parametrize("again", ["ann@example.com", "Ann@Example.COM"])
async def test_an_address_registers_once_however_it_is_spelled(
    client: httpx.AsyncClient, user: Any, again: str
) -> None:
    answer = await client.post("/register-user/", json={"email": again})

    assert user["email"] == "ann@example.com"
    problem(answer, 409, "email-already-registered")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ANN+tag@Example.com", "ann+tag@example.com"),
        ("ann@somewhere.test", "ann@somewhere.test"),
    ],
)
async def test_an_address_is_kept_in_one_normal_form(client: httpx.AsyncClient, given: str, stored: str) -> None:
    answer = await client.post("/register-user/", json={"email": given})

    assert answer.json()["email"] == stored


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@localhost",
        "ann@@example.com",
        "a b@example.com",
        "ann@exa mple.com",
        "ann@example..com",
        ".ann@example.com",
        "änn@example.com",
        "Ann <ann@example.com>",
        "ann@example.com\r\nBcc: all@example.com",
        "ann\x00@example.com",
        "a" * 65 + "@example.com",
        "a" * 400 + "@example.com",
        None,
        17,
        ["ann@example.com"],
    ],
)
async def test_what_is_no_address_is_refused_in_its_place_and_not_repeated(
    client: httpx.AsyncClient, email: object
) -> None:
    answer = await client.post("/register-user/", json={"email": email})

    document = problem(answer, 422, "invalid-request")
    assert pointers(document) == ["/email"]
    assert "Bcc" not in answer.text


@pytest.mark.parametrize("name", ["", "   ", "n" * 101, "a\nb", "a\x00b", "a\u202eb", 5, {}])
async def test_a_name_is_one_line_of_1_to_100_characters(client: httpx.AsyncClient, name: object) -> None:
    answer = await client.post("/register-user/", json={"email": "ann@example.com", "name": name})

    assert pointers(problem(answer, 422, "invalid-request")) == ["/name"]


async def test_a_name_of_100_characters_is_fine(client: httpx.AsyncClient) -> None:
    answer = await client.post("/register-user/", json={"email": "ann@example.com", "name": "ł" * 100})

    assert answer.status_code == 201


async def test_all_that_is_wrong_is_said_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post("/register-user/", json={"name": 5, "e~mail/": "ann@example.com"})

    assert pointers(problem(answer, 422, "invalid-request")) == ["/email", "/name", "/e~0mail~1"]


@pytest.mark.parametrize("id", [NOBODY, "17", "x" * 36, NOBODY.replace("-", "") + "----", "%00", "{" + NOBODY + "}"])
async def test_an_id_that_nobody_has_is_not_found_uuid_or_not(client: httpx.AsyncClient, id: str) -> None:
    answer = await client.get(f"/users/{id}")

    problem(answer, 404, "user-not-found")


async def test_tasks_wait_for_the_answer_where_the_queue_can_hold_them(client: httpx.AsyncClient, parts: Parts) -> None:
    parts.queue = queue = HoldingTaskQueue()

    answer = await client.post("/register-user/", json={"email": "ann@example.com"})

    assert answer.status_code == 201
    assert queue.diary == ["hold", "release what was held"]
