"""Requests that come again with their key: done once, and answered as the first time."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from entrypoints.web import idempotency
from ports.errors import Unavailable, Unknown
from ports.persistence import Answer, SaveOrder, Traffic, Write
from tests.unit.web.parts import Parts
from tests.unit.web.talk import a_line_with, an_order_for, problem

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
REPLAYED = "Idempotency-Replayed"


async def place(client: httpx.AsyncClient, user: Any, key: str = "k-1", **changes: Any) -> httpx.Response:
    return await client.post("/orders/", json=an_order_for(user, **changes), headers={"Idempotency-Key": key})


async def orders_of(client: httpx.AsyncClient) -> list[Any]:
    items: list[Any] = (await client.get("/orders/?limit=100")).json()["items"]
    return items


def is_replayed(first: httpx.Response, again: httpx.Response) -> bool:
    """Whether the second is the answer that the first was, said to be."""
    same = all(first.headers[name] == again.headers[name] for name in ("location", "content-type"))
    said = (first.headers.get(REPLAYED), again.headers.get(REPLAYED)) == (None, "true")
    return same and said and (first.status_code, first.content) == (again.status_code, again.content)


class Commits:
    """The commits of a store, which wait for each other's sake when a test says so."""

    def __init__(self, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.outcomes: list[Exception | None] = []  # of the next commits; `Unknown` of one that was done
        self._commit = parts.store.commit
        monkeypatch.setattr(parts.store, "commit", self)

    async def __call__(
        self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4
    ) -> None:
        self.begun.set()
        await self.go_on.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is None or isinstance(outcome, Unknown):
            await self._commit(writes, traffic=traffic, seconds=seconds)
        if outcome is not None:
            raise outcome


@pytest.fixture
def commits(parts: Parts, user: Any, monkeypatch: pytest.MonkeyPatch) -> Commits:  # noqa: ARG001 - registered before
    return Commits(parts, monkeypatch)


async def test_the_same_order_with_the_same_key_is_placed_once(client: httpx.AsyncClient, user: Any) -> None:
    first = await place(client, user)
    again = await place(client, user)

    assert first.status_code == 201
    assert is_replayed(first, again)
    assert len(await orders_of(client)) == 1


async def test_the_first_answer_is_replayed_byte_for_byte_when_the_order_has_been_confirmed_since(
    client: httpx.AsyncClient, parts: Parts, user: Any
) -> None:
    first = await place(client, user)
    order = await parts.store.orders.get(UUID(first.json()["id"]))
    assert order is not None
    await parts.store.commit([SaveOrder(order.confirm(parts.time.now()))])

    again = await place(client, user)

    assert is_replayed(first, again)
    assert again.json()["status"] == "placed"


async def test_fifty_at_once_place_one_order(client: httpx.AsyncClient, user: Any) -> None:
    answers = await asyncio.gather(*(place(client, user) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert Counter(answer.headers.get(REPLAYED) for answer in answers) == {None: 1, "true": 49}
    assert len(await orders_of(client)) == 1


async def test_registering_again_with_the_key_is_answered_201_and_not_that_the_address_is_taken(
    client: httpx.AsyncClient,
) -> None:
    new = {"email": "bob@example.com", "name": "Bob"}

    first = await client.post("/register-user/", json=new, headers=KEY)
    again = await client.post("/register-user/", json=new, headers=KEY)
    without = await client.post("/register-user/", json=new)
    with_another = await client.post("/register-user/", json=new, headers={"Idempotency-Key": "another"})

    assert first.status_code == 201
    assert is_replayed(first, again)
    problem(without, 409, "email-already-registered")
    problem(with_another, 409, "email-already-registered")


async def test_a_key_with_another_body_is_refused(client: httpx.AsyncClient, user: Any) -> None:
    await place(client, user)

    answer = await place(client, user, lines=[a_line_with(quantity=3)])

    problem(answer, 422, "idempotency-key-reused")
    assert len(await orders_of(client)) == 1


async def test_what_means_the_same_is_the_same_request(client: httpx.AsyncClient, user: Any) -> None:
    """However it is written: the order of the names, blanks, zeroes at the end, the case of an id."""
    first = await place(client, user)
    order = an_order_for(user | {"id": user["id"].upper()}, lines=[a_line_with(unit_price="09.9")])
    body = json.dumps(dict(reversed(order.items())), indent=4)

    again = await client.post(
        "/orders/", content=body, headers={"Content-Type": "application/json", "Idempotency-Key": "k-1"}
    )

    assert is_replayed(first, again)


@pytest.mark.parametrize(
    ("first", "second"),
    [("k", '"k"'), ('"k"', " k\t"), ('a"b\\c', r'"a\"b\\c"'), ("x" * 255, f'"{"x" * 255}"'), ("a,b;c=1", '"a,b;c=1"')],
)
async def test_a_key_is_the_same_quoted_or_bare(client: httpx.AsyncClient, user: Any, first: str, second: str) -> None:
    assert is_replayed(await place(client, user, first), await place(client, user, second))


@pytest.mark.parametrize(
    "key",
    ["", " ", '""', '"', "x" * 256, f'"{"x" * 256}"', "a b", '"a b"', '"a', '"a"b"', '"a"; b=1', r'"\a"', "k\x7f", "é"],
)
async def test_what_is_no_key_is_refused(client: httpx.AsyncClient, user: Any, key: str) -> None:
    answer = await client.post(
        "/orders/", json=an_order_for(user), headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )

    problem(answer, 400, "invalid-idempotency-key")
    assert await orders_of(client) == []


@pytest.mark.parametrize(("key", "told"), [("", "It is empty."), ('""', "It is empty."), ("a b", "It cannot be read")])
async def test_a_key_that_is_none_is_told_why(client: httpx.AsyncClient, user: Any, key: str, told: str) -> None:
    answer = await client.post("/orders/", json=an_order_for(user), headers={"Idempotency-Key": key})

    assert problem(answer, 400, "invalid-idempotency-key")["detail"].startswith(told)


async def test_several_keys_are_refused(client: httpx.AsyncClient, user: Any) -> None:
    answer = await client.post(
        "/orders/", json=an_order_for(user), headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    )

    problem(answer, 400, "invalid-idempotency-key")


async def test_other_keys_and_other_routes_have_nothing_to_do_with_each_other(
    client: httpx.AsyncClient, user: Any
) -> None:
    registered = await client.post("/register-user/", json={"email": "bob@example.com"}, headers=KEY)
    placed = await client.post("/orders/", json=an_order_for(user), headers=KEY)
    another = await place(client, user, "K-1")
    other_case = await place(client, user, "k-1")

    answers = [registered, placed, another, other_case]
    assert [(answer.status_code, REPLAYED in answer.headers) for answer in answers] == [(201, False)] * 4
    assert len({answer.headers["location"] for answer in answers}) == 4


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"user_id": str(uuid4())}, "unknown-user"), ({"currency": "XXX"}, "invalid-request")],
)
async def test_a_refused_request_does_not_use_up_its_key(
    client: httpx.AsyncClient, user: Any, changes: dict[str, Any], code: str
) -> None:
    problem(await place(client, user, **changes), 422, code)

    answer = await place(client, user)

    assert answer.status_code == 201
    assert REPLAYED not in answer.headers


async def test_a_request_that_the_storage_did_not_serve_does_not_use_up_its_key(
    client: httpx.AsyncClient, parts: Parts, user: Any
) -> None:
    parts.store.breaks_with = Unavailable("the disk is away")
    problem(await place(client, user), 503, "storage-unavailable")
    parts.store.breaks_with = None

    assert REPLAYED not in (await place(client, user)).headers


async def test_who_does_not_know_what_became_of_an_order_learns_it_with_the_key(
    client: httpx.AsyncClient, user: Any, commits: Commits
) -> None:
    commits.go_on.set()
    commits.outcomes = [Unknown("the connection died")]
    problem(await place(client, user), 503, "storage-unavailable")

    again = await place(client, user)

    assert (again.status_code, again.headers[REPLAYED]) == (201, "true")
    assert [order["id"] for order in await orders_of(client)] == [again.json()["id"]]


async def test_who_comes_while_the_first_is_running_waits_a_moment_for_its_answer(
    client: httpx.AsyncClient, user: Any, commits: Commits
) -> None:
    first = asyncio.create_task(place(client, user))
    await commits.begun.wait()
    again = asyncio.create_task(place(client, user))
    other = asyncio.create_task(place(client, user, currency="JPY", lines=[a_line_with(unit_price="5")]))
    await asyncio.sleep(0)

    commits.go_on.set()

    assert is_replayed(await first, await again)
    problem(await other, 422, "idempotency-key-reused")


async def test_who_waited_too_long_is_told_that_the_key_is_in_use(
    client: httpx.AsyncClient, user: Any, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.01)
    first = asyncio.create_task(place(client, user))
    await commits.begun.wait()

    refused = await place(client, user)
    commits.go_on.set()
    again = await place(client, user)

    problem(refused, 409, "idempotency-key-in-use")
    assert refused.headers["retry-after"] == "1"
    assert is_replayed(await first, again)


async def test_when_the_first_is_not_served_one_of_those_who_waited_takes_its_place(
    client: httpx.AsyncClient, user: Any, commits: Commits
) -> None:
    commits.outcomes = [Unavailable("the disk is away")]
    attempts = [asyncio.create_task(place(client, user)) for _ in range(5)]
    await commits.begun.wait()

    commits.go_on.set()

    answers = await asyncio.gather(*attempts)
    assert [answer.status_code for answer in answers] == [503, 201, 201, 201, 201]
    assert Counter(answer.headers.get(REPLAYED) for answer in answers[1:]) == {None: 1, "true": 3}


async def test_a_caller_that_goes_away_leaves_no_key_in_use(
    client: httpx.AsyncClient, user: Any, commits: Commits
) -> None:
    first = asyncio.create_task(place(client, user))
    await commits.begun.wait()
    first.cancel()
    await asyncio.wait({first})
    commits.go_on.set()

    assert (await place(client, user)).status_code == 201


async def test_nothing_is_looked_up_for_a_key_that_is_new(
    client: httpx.AsyncClient, parts: Parts, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a key costs a row in a commit that is made in any case, and no question before it."""

    async def never(id: str) -> Answer | None:
        raise AssertionError(id)

    monkeypatch.setattr(parts.store.answers, "get", never)

    assert (await place(client, user)).status_code == 201


async def test_neither_keys_nor_requests_are_kept_as_they_are(
    client: httpx.AsyncClient, parts: Parts, user: Any
) -> None:
    """A key may be a secret of its sender, and a long one needs no more space than a short one."""
    await place(client, user, "x" * 255)

    (kept,) = parts.store._store.answers.values()
    assert {len(kept.id), len(kept.fingerprint)} == {64}
    assert "xx" not in repr(kept)
