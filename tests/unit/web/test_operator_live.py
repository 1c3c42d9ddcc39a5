"""The stream of the operator's page, driven as a server drives it."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from entrypoints.flow_watch import EVERY_SECONDS
from entrypoints.web.operator_live import HEARTBEAT_SECONDS, STREAMS_MOST
from ports.errors import Unavailable
from ports.persistence import Record
from tests.builders import NOON, a_task
from tests.unit.web.parts import Parts
from tests.unit.web.talk import OPERATOR_TOKEN, client_of


class Reader:
    """What one reader of the stream has been sent."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.chunks: list[bytes] = []
        self.ended = False
        self.gone = asyncio.Event()
        self.takes = asyncio.Event()
        self.takes.set()

    async def receive(self) -> dict[str, Any]:
        if not self.headers:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
            return
        await self.takes.wait()
        self.chunks.append(message["body"])
        self.ended = not message.get("more_body", False)

    def news(self, name: str = "status") -> list[Any]:
        events = b"".join(self.chunks).decode().split("\n\n")
        start = f"event: {name}\ndata: "
        return [json.loads(event.removeprefix(start)) for event in events if event.startswith(start)]


@asynccontextmanager
async def reading(
    app: FastAPI, parts: Parts, token: str = OPERATOR_TOKEN, method: str = "GET"
) -> AsyncIterator[Reader]:
    reader = Reader()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/operator/live",
        "raw_path": b"/operator/live",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"crossdock.test"), (b"authorization", b"Bearer " + token.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("crossdock.test", 80),
    }
    task = asyncio.create_task(app(scope, reader.receive, reader.send))
    await parts.time.settle()
    try:
        yield reader
    finally:
        reader.takes.set()
        reader.gone.set()
        await parts.time.advance(HEARTBEAT_SECONDS)
        await task


async def test_a_reader_is_told_what_was_and_then_what_is(app: FastAPI, parts: Parts) -> None:
    async with reading(app, parts) as reader:
        await parts.store.commit([Record(a_task().died("no such mailbox", NOON, attempts=1))])
        await parts.time.advance(EVERY_SECONDS)

    assert reader.status == 200
    assert reader.headers[b"content-type"].startswith(b"text/event-stream")
    assert reader.headers[b"cache-control"] == b"no-store"
    assert b"content-length" not in reader.headers
    assert reader.news("history") == [[]]
    assert [news["dead"] for news in reader.news()] == [0, 1]
    assert reader.news()[1]["texts"]["done_rate"] == "0"


async def test_who_asks_for_the_head_alone_keeps_no_stream(app: FastAPI, parts: Parts) -> None:
    async with reading(app, parts, method="HEAD") as reader:
        assert (reader.status, reader.ended, reader.chunks) == (200, True, [b""])
        assert reader.headers[b"content-type"].startswith(b"text/event-stream")


async def test_nobody_is_told_without_the_token(app: FastAPI, parts: Parts) -> None:
    async with reading(app, parts, token="guess") as reader:
        assert (reader.status, reader.ended) == (401, True)


async def test_while_the_database_is_away_it_is_told_so(app: FastAPI, parts: Parts) -> None:
    async with reading(app, parts) as reader:
        await parts.store.stop()
        await parts.time.advance(EVERY_SECONDS)

    assert (reader.news()[-1]["dead"], reader.news()[-1]["plotted"]) == (None, None)
    assert reader.news()[-1]["texts"]["event.ready"] == "–"


async def test_a_look_that_fails_does_not_end_the_next(
    app: FastAPI, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(app, parts) as reader:
        with monkeypatch.context() as patched:
            patched.setattr(parts.well_being, "check", _broken)
            await parts.time.advance(EVERY_SECONDS)
        await parts.time.advance(EVERY_SECONDS)

    assert len(reader.news()) == 2


async def _broken() -> Any:
    raise ValueError("a bug")


async def test_when_there_is_no_news_there_is_a_sign_of_life(
    app: FastAPI, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(app, parts) as reader:
        monkeypatch.setattr(parts.well_being, "check", _broken)
        await parts.time.advance(2 * HEARTBEAT_SECONDS)
        assert reader.chunks[-2:] == [b":\n\n", b":\n\n"]
        monkeypatch.undo()


async def test_a_slow_reader_gets_the_newest_alone(app: FastAPI, parts: Parts) -> None:
    async with reading(app, parts) as reader:
        reader.takes.clear()
        for _ in range(4):
            await parts.store.commit([Record(a_task().died("no such mailbox", NOON, attempts=1))])
            await parts.time.advance(EVERY_SECONDS)
        reader.takes.set()
        await parts.time.settle()

        told = [news["dead"] for news in reader.news()]

    assert told == [0, 1, 4]


async def test_so_many_may_watch_and_no_more(app: FastAPI, parts: Parts) -> None:
    opened = [reading(app, parts) for _ in range(STREAMS_MOST + 1)]
    readers = [await one.__aenter__() for one in opened]
    await opened[0].__aexit__(None, None, None)
    async with reading(app, parts) as late:
        statuses = [reader.status for reader in readers]
        assert statuses == [200] * STREAMS_MOST + [503]
        assert readers[-1].headers[b"retry-after"] == b"10"
        assert late.status == 200
    for one in opened[1:]:
        await one.__aexit__(None, None, None)


async def test_a_draining_process_lets_everybody_go_and_nobody_in(app: FastAPI, parts: Parts) -> None:
    async with reading(app, parts) as reader:
        app.state.live.end()
        await parts.time.settle()
        assert reader.ended
        assert reader.chunks[-1] == b"event: ending\ndata: {}\n\n"
        async with reading(app, parts) as late:
            assert late.status == 503


async def test_who_watches_presses_nobody(app: FastAPI, parts: Parts) -> None:
    """A stream is no request that waits for its answer: delivery need not give way to it."""
    async with reading(app, parts):
        assert parts.pace().in_flight == 0
    assert parts.pace().in_flight == 0


async def test_its_time_is_that_until_it_begins(app: FastAPI, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each page that somebody leaves open would be a very slow request."""
    ticks = itertools.count()
    passed = 0.0
    monkeypatch.setattr("entrypoints.web.middleware.time.perf_counter", lambda: passed + next(ticks) / 1000)
    async with reading(app, parts):
        passed = 3600.0
        await parts.time.advance(EVERY_SECONDS)

    async with client_of(app) as client:
        metrics = (await client.get("/metrics")).text

    (total,) = re.findall(r'request_duration_seconds_sum{[^}]*"/operator/live"[^}]*} (\S+)', metrics)
    assert 0 < float(total) < 1


async def test_when_the_last_has_gone_nobody_looks_any_more(app: FastAPI, parts: Parts) -> None:
    async with reading(app, parts) as reader:
        reader.gone.set()
        await parts.time.settle()
        assert parts.time.sleepers == 0


async def test_one_who_takes_nothing_is_left(app: FastAPI, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrypoints.web.operator_live.WRITE_SECONDS", 0.01)
    async with reading(app, parts) as reader:
        reader.takes.clear()
        await parts.time.advance(EVERY_SECONDS)
        async with asyncio.timeout(5):
            while parts.time.sleepers:  # noqa: ASYNC110 - real time: a socket that is full has no clock of ours
                await asyncio.sleep(0.01)


async def test_the_store_is_away_at_the_first_look(app: FastAPI, parts: Parts) -> None:
    parts.store.breaks_with = Unavailable("away")
    await parts.store.stop()
    async with reading(app, parts) as reader:
        assert reader.news()[0]["dead"] is None
