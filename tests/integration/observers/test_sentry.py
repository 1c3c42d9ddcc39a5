"""Errors as they arrive at a server that speaks as Sentry does."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from prove.process import Process
from tests.integration.observers.bugsink import Bugsink, events_of, need_observers, new_project
from tests.services import private

CANARY = "canary-7f3a9c"
PATIENCE_SECONDS = 30.0


@pytest.fixture(scope="module")
def bugsink() -> Iterator[httpx.Client]:
    need_observers()
    with private(Bugsink) as server, server.client() as api:
        yield api


def arrived(api: httpx.Client, project: str, number: int) -> list[dict[str, Any]]:
    """The events of a project, once there are so many."""
    until = time.monotonic() + PATIENCE_SECONDS
    while len(found := events_of(api, project)) < number and time.monotonic() < until:
        time.sleep(0.1)
    return found


def spoil(database: Path) -> None:
    """The task cannot be read by anybody, and neither can the user."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE deliveries SET body = ?, due_at = 0, holder = NULL", (b"{}",))
        connection.execute("UPDATE users SET registered_at = ?", (2**62,))


def test_what_died_and_what_nobody_foresaw_can_be_read_there_and_no_secret_of_it(
    bugsink: httpx.Client, tmp_path: Path
) -> None:
    project, dsn = new_project(bugsink)
    settings = {
        "PORT": "0",
        "DATABASE_URL": "sqlite:///crossdock.db",
        "CROSSDOCK_LOG_FORMAT": "json",
        "CROSSDOCK_WEATHER": "sample",
        "CROSSDOCK_MAILER": "smtp",
        "SMTP_URL": f"smtp://{CANARY}:{CANARY}@127.0.0.1:1",  # away: an outage, which is no error
        "SENTRY_DSN": dsn,
        "SENTRY_RELEASE": "crossdock@7.7.7",
        "CROSSDOCK_OPERATOR_TOKEN": CANARY,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=rehearsal",
    }
    with Process(tmp_path, "up", settings=settings) as first, httpx.Client(timeout=20) as client:
        user = client.post(f"{first.url}/register-user/", json={"email": f"{CANARY}@example.com"}).json()["id"]
        first.tell_to_end()
        assert first.process.wait(20) == 0
        spoil(tmp_path / "crossdock.db")
        with Process(tmp_path, "up", settings=settings) as second:
            named = {"X-Request-ID": "request-of-the-test", "Authorization": f"Bearer {CANARY}"}
            statuses = [
                client.get(f"{second.url}/users/{user}?token={CANARY}", headers=named).status_code,
                client.post(f"{second.url}/register-user/", json={"email": f"{CANARY}@example.com"}).status_code,
                client.get(f"{second.url}/orders/nothing").status_code,
            ]
            arrived(bugsink, project, 2)
            second.tell_to_end()
            assert second.process.wait(20) == 0
        log = second.log

    assert statuses == [500, 409, 404], log
    events = events_of(bugsink, project)
    assert len(events) == 2, log
    told = {"dead_letter" in tags_of(event): event for event in events}
    unforeseen, died = told[False], told[True]
    for event in events:
        assert (event["data"]["release"], event["data"]["environment"]) == ("crossdock@7.7.7", "rehearsal")
        assert tags_of(event)["role"] == "up"
    assert tags_of(unforeseen)["request_id"] == "request-of-the-test"
    assert unforeseen["data"]["transaction"] == "GET /users/{id}"
    assert unforeseen["data"]["exception"]["values"][-1]["stacktrace"]["frames"]
    assert tags_of(died)["dead_letter"] == "send_welcome_email"
    assert tags_of(died)["message_id"] in log
    assert died["data"]["fingerprint"][:2] == ["dead-letter", "send_welcome_email"]
    assert CANARY not in json.dumps(events)
    assert CANARY not in log


def tags_of(event: dict[str, Any]) -> dict[str, str]:
    """What an event can be found by."""
    return dict(event["data"]["tags"])
