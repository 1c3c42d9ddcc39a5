import re
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from domain.delivery.pace import Pace
from entrypoints.log_level import set_level
from entrypoints.web import middleware
from entrypoints.web.middleware import Edge
from ports.log_context import CURRENT_REQUEST_ID
from tests.clock import ManualClock
from tests.unit.web.talk import an_order_for

ANY_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.mark.parametrize("given", ["abc", "a" * 128, "Root=1-67891233-abcdef", "x.y_z~1:2/3+4=5@6"])
async def test_a_sane_request_id_of_the_caller_is_kept(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/livez", headers={"X-Request-ID": given})

    assert answer.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a\tb", "<script>", 'a"b', "a,b", "ä", "a;b=c", "%0d%0a"])
async def test_any_other_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/livez", headers={b"X-Request-ID": given.encode()})

    assert ANY_UUID.fullmatch(answer.headers["x-request-id"])


async def test_every_request_without_an_id_gets_its_own(client: httpx.AsyncClient) -> None:
    ids = {(await client.get("/livez")).headers["x-request-id"] for _ in range(50)}

    assert len(ids) == 50
    assert all(ANY_UUID.fullmatch(each) for each in ids)


async def test_what_is_logged_during_a_request_carries_its_id_and_nothing_after_it_does() -> None:
    seen: list[str | None] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append(CURRENT_REQUEST_ID.get())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Edge(app, pace=Pace(ManualClock()))), base_url="http://crossdock.test"
    ) as client:
        await client.get("/", headers={"X-Request-ID": "mine"})

    assert seen == ["mine"]
    assert CURRENT_REQUEST_ID.get() is None


@pytest.mark.parametrize("path", ["/livez", "/nothing", "/orders/", "/docs", "/operator/", "/problems/not-found"])
async def test_every_answer_tells_browsers_to_be_careful(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("referrer-policy") in (["no-referrer"], ["same-origin"])
    assert answer.headers.get_list("x-frame-options") == ["DENY"]
    (policy,) = answer.headers.get_list("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert len(answer.headers.get_list("cache-control")) == 1


@pytest.mark.parametrize("path", ["/livez", "/orders/", "/weather/Oslo", "/openapi.json", "/nothing", "/metrics"])
async def test_head_is_get_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    get = await client.get(path, headers={"X-Request-ID": "same"})
    head = await client.head(path, headers={"X-Request-ID": "same"})

    assert head.status_code == get.status_code
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # which has counted one request more
        assert head.headers["content-length"] == get.headers["content-length"]


async def test_each_request_leaves_one_line_with_its_template_and_without_its_query(
    client: httpx.AsyncClient, user: Any
) -> None:
    with capture_logs() as lines:
        order = await client.post("/orders/", json=an_order_for(user))
        await client.get(order.headers["location"] + "?token=SECRET")
        await client.head("/nothing%0D%0Ahere" + "x" * 500)

    took = [line.pop("duration_ms") for line in lines]
    assert all(0 < milliseconds < 60_000 for milliseconds in took)
    assert lines == [
        {"event": "request", "log_level": "info", "method": "POST", "path": "/orders/", "status": 201},
        {"event": "request", "log_level": "info", "method": "GET", "path": "/orders/{id}", "status": 200},
        {
            "event": "request",
            "log_level": "info",
            "method": "HEAD",
            "path": "/nothing%0D%0Ahere" + "x" * 182,
            "status": 404,
            "problem": "not-found",
        },
    ]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_what_machines_ask_all_the_time_leaves_no_line(client: httpx.AsyncClient, path: str) -> None:
    with capture_logs() as lines:
        await client.get(path)

    assert lines == []


async def test_an_answer_that_breaks_off_is_not_finished_with_a_problem() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("halfway")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    told: list[int] = []
    edge = Edge(app, pace=Pace(ManualClock()), observers=[lambda _scope, status, _seconds: told.append(status)])
    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(RuntimeError, match="halfway"):
        await edge(scope, receive, send)

    assert [message["type"] for message in sent] == ["http.response.start"]
    assert told == [200]


@pytest.mark.usefixtures("logging_as_it_was")
async def test_what_is_told_to_nobody_is_not_timed_and_what_is_logged_follows_the_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Telemetry that is off costs a request nothing; the level can be changed while the process works."""
    looks: list[float] = []
    logged: list[int] = []

    def perf_counter() -> float:
        looks.append(float(len(looks)))
        return looks[-1]

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    edge = Edge(app, pace=Pace(ManualClock()), log=lambda _scope, status, _seconds: logged.append(status))
    monkeypatch.setattr(middleware, "time", SimpleNamespace(perf_counter=perf_counter))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://crossdock.test") as client:
        set_level("error")
        await client.get("/")
        silent = len(looks), len(logged)
        set_level("info")
        await client.get("/")

    assert silent == (0, 0)
    assert (len(looks) > 0, logged) == (True, [204])


async def test_what_is_no_request_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    async def receive() -> Message:
        raise AssertionError("nothing is received")

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is sent")

    await Edge(app, pace=Pace(ManualClock()))({"type": "lifespan"}, receive, send)

    assert seen == ["lifespan"]


async def test_a_caller_that_goes_away_in_the_middle_of_a_body_is_no_error_of_ours(app: FastAPI) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    coming: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return coming.pop(0)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/orders/",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "scheme": "http",
    }
    with capture_logs() as lines:
        await app(scope, receive, send)

    assert sent[0]["status"] == 400
    assert [line["event"] for line in lines] == ["request"]


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", 0, 400),
        ("1.1", 1, 200),
        ("1.1", 2, 400),
        ("1.0", 0, 200),
        ("2", 0, 200),
    ],
)
async def test_a_request_of_http_1_1_has_one_host(app: FastAPI, version: str, hosts: int, status: int) -> None:
    """Of two, somebody before us may have meant the other."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "http_version": version,
        "method": "GET",
        "scheme": "http",
        "path": "/livez",
        "raw_path": b"/livez",
        "query_string": b"",
        "headers": [(b"host", b"crossdock.test")] * hosts,
    }
    await app(scope, receive, send)

    assert messages[0]["status"] == status
    assert status == 200 or b'"malformed-request"' in messages[1]["body"]


async def test_line_breaks_from_outside_reach_no_header(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get("/weather/a%0D%0ASet-Cookie:%20x=1"),
        await client.get("/orders%0D%0ASet-Cookie:%20x=1"),
        await client.get("/orders?cursor=%0D%0ASet-Cookie:%20x=1"),
        await client.get("/operator/?token=%0D%0ASet-Cookie:%20x=1"),
        await client.get("/%0D%0ASet-Cookie:%20x=1/"),
    ]

    for answer in answers:
        assert "set-cookie" not in answer.headers
        assert not any("\n" in value or "\r" in value for value in answer.headers.values())
