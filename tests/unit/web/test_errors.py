import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

import domain.model.errors as refusals
from entrypoints.web import errors
from entrypoints.web.problem_types import PROBLEM_TYPES
from ports.errors import Conflict, Precondition, Unavailable, Unknown
from tests.unit.web.parts import Parts
from tests.unit.web.talk import an_order_for, problem


def test_every_refusal_of_the_model_has_a_row() -> None:
    tree = [refusals.Refusal]
    for kind in tree:
        tree += kind.__subclasses__()
    without = {kind for kind in tree[1:] if kind.__module__ == refusals.__name__} - set(errors._TABLE)

    assert without == {refusals.InvalidValue}  # which has a handler of its own, for its pointer


def test_every_row_names_a_problem_that_is_explained() -> None:
    assert {row.code for row in errors._TABLE.values()} | set(errors._BY_STATUS.values()) <= set(PROBLEM_TYPES)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Unavailable("postgresql://user:SECRET@db does not answer"), "Nothing was changed"),
        (Conflict(Precondition.VERSION_IS_CURRENT), "at the same moment"),
        (Unknown("SECRET died in commit"), "not known whether the request took effect"),
    ],
)
async def test_a_storage_that_fails_gives_503_says_what_is_known_and_when_to_come_again(
    client: httpx.AsyncClient, parts: Parts, user: Any, error: Exception, said: str
) -> None:
    parts.store.breaks_with = error

    answer = await client.post("/orders/", json=an_order_for(user))

    assert said in problem(answer, 503, "storage-unavailable")["detail"]
    assert answer.headers["retry-after"] == "2"
    assert "SECRET" not in answer.text


async def test_a_storage_that_is_closed_gives_503_for_reading_too(client: httpx.AsyncClient, parts: Parts) -> None:
    await parts.store.stop()

    answer = await client.get("/orders/")

    problem(answer, 503, "storage-unavailable")


async def test_the_reason_of_a_503_is_logged_for_the_operator(
    client: httpx.AsyncClient, parts: Parts, user: Any
) -> None:
    parts.store.breaks_with = Unavailable("connection refused by db:5432")

    with capture_logs() as lines:
        await client.post("/orders/", json=an_order_for(user))

    assert {
        "event": "requests are not served",
        "log_level": "warning",
        "problem": "storage-unavailable",
        "error": "Unavailable",
        "reason": "connection refused by db:5432",
    } in lines


async def test_an_error_that_nobody_foresaw_gives_500_without_a_word_of_it(
    client: httpx.AsyncClient, parts: Parts, user: Any
) -> None:
    parts.store.breaks_with = RuntimeError("SECRET")

    with capture_logs() as lines:
        answer = await client.post("/orders/", json=an_order_for(user))

    problem(answer, 500, "internal-error")
    assert "SECRET" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [line["exc_info"] for line in lines if line["event"] == "request failed"] == [True]


@pytest.mark.parametrize("path", ["/nothing", "/users/", "/orders/x/y", "/static/../app.py", "/problems/"])
async def test_an_unknown_path_is_a_problem(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    problem(answer, 404, "not-found")


async def test_who_comes_without_a_path_is_led_to_the_documentation(client: httpx.AsyncClient) -> None:
    """The address is relative: the Host is named by the caller."""
    answer = await client.get("/")

    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_the_list_of_problems_leads_to_the_page_of_each(client: httpx.AsyncClient) -> None:
    answer = await client.get("/problems")

    assert answer.status_code == 200
    assert re.findall('href="/problems/([^"]+)"', answer.text) == list(PROBLEM_TYPES)


async def test_what_is_wrong_with_a_request_is_told_in_one_voice(client: httpx.AsyncClient) -> None:
    """Not in the words of a library, which are another sort of English."""
    line = {"sku": "", "quantity": 0, "unit_price": "1" * 33}
    wrong = {"user_id": "01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87", "currency": "eur", "lines": [line]}
    order = await client.post("/orders/", json=wrong)
    empty = await client.post("/orders/", json={**wrong, "currency": "EUR", "lines": []})
    many = await client.get("/orders/", params={"limit": 101})

    told = {each["pointer"]: each["detail"] for answer in (order, empty, many) for each in answer.json()["errors"]}
    assert told == {
        "/currency": "This must match ^[A-Z]{3}$.",
        "/lines": "This must have 1 or more entries.",
        "/lines/0/sku": "This must have 1 or more characters.",
        "/lines/0/quantity": "This must be 1 or more.",
        "/lines/0/unit_price": "This must have 32 characters or fewer.",
        "/limit": "This must be 100 or less.",
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/orders/", "GET, HEAD, OPTIONS, POST"),
        ("PATCH", "/orders/x", "GET, HEAD, OPTIONS"),
        ("GET", "/register-user/", "OPTIONS, POST"),
        ("HEAD", "/register-user/", "OPTIONS, POST"),
        ("BREW", "/livez", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_method_that_a_path_does_not_know_is_a_problem_that_names_those_it_knows(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_path_without_its_last_slash_leads_to_the_one_with_it(client: httpx.AsyncClient, user: Any) -> None:
    answer = await client.post("/orders", json=an_order_for(user), follow_redirects=True)

    assert answer.status_code == 201
    assert [step.status_code for step in answer.history] == [307]


async def test_that_leads_nowhere_else_whatever_host_the_caller_names(client: httpx.AsyncClient) -> None:
    answer = await client.get("/orders?limit=1", headers={"Host": "evil.example"})

    assert (answer.status_code, answer.headers["location"]) == (307, "/orders/?limit=1")


async def test_the_instance_is_the_path_as_it_was_sent_and_never_the_query(client: httpx.AsyncClient) -> None:
    answer = await client.get("/no%0D%0Athing/ä?token=SECRET")

    assert problem(answer, 404, "not-found")["instance"] == "/no%0D%0Athing/%C3%A4"
    assert "SECRET" not in answer.text


@pytest.mark.parametrize("code", sorted(PROBLEM_TYPES))
async def test_the_type_of_every_problem_leads_to_a_page_about_it(client: httpx.AsyncClient, code: str) -> None:
    answer = await client.get(f"/problems/{code}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script" not in answer.headers["content-security-policy"]
    assert code in answer.text


async def test_there_is_no_page_about_what_is_no_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/problems/%3Cscript%3E")

    problem(answer, 404, "not-found")


async def test_more_than_a_hundred_complaints_are_counted_and_a_hundred_told(client: httpx.AsyncClient) -> None:
    answer = await client.post("/register-user/", json={"email": "a@b.example"} | {f"f{n}": n for n in range(5000)})

    document = problem(answer, 422, "invalid-request")
    assert len(document["errors"]) == 100
    assert document["detail"] == "5,000 things are wrong with the request; here are the first 100."


async def test_the_app_of_a_test_is_its_own(app: FastAPI, parts: Parts) -> None:
    assert app.state.container is parts
