"""A service whose desk has something on it, and somebody with a browser."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.clock import SystemClock
from adapters.persistence.sql.migrations.upgrade import upgrade_sqlite
from adapters.persistence.sql.sqlite import SqlitePersistence
from ports.deliveries import Delivery, Happening
from ports.persistence import Record
from prove.process import Process
from tests.browser import chromium
from tests.builders import a_delivery, a_received, a_task, an_id
from tests.foreign import node_packages, run_node

TOKEN = "token-of-a-test"
HOSTILE = (
    "<img src=x onerror=alert(1)> \u202eevil\u2066 \x1b[31mred\x00 'quoted\" &amp; </script><script>alert(2)</script>"
)
SETTINGS = {
    "PORT": "0",
    "CROSSDOCK_OPERATOR_TOKEN": TOKEN,
    "CROSSDOCK_WEATHER": "sample",
    "CROSSDOCK_LOG_FORMAT": "json",
    "DATABASE_URL": "sqlite:///crossdock.db",
}

Visit = Callable[..., Any]


def letters() -> list[Delivery]:
    """What a desk may have on it."""
    now = SystemClock().now()
    before = now - timedelta(hours=3)
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    order = str(an_id())
    mail = a_task(
        name="send_order_confirmation", subject=order, body=json.dumps({"order_id": order}).encode(), attributes=trace
    )
    received = a_received(
        subject=order,
        attributes={"type": "crossdock.order.created.v1", "source": "shop", "id": "m-17", **trace},
        body=b'{"order_id": "%s", "currency": "EUR"}' % order.encode(),
        story=(Happening(before, "received", "from order_events, source shop, id m-17"),),
    )
    return [
        _dead(mail, "no such mailbox", before, attempts=1),
        _dead(a_task(subject=str(an_id())), "no such mailbox", before + timedelta(hours=1), attempts=1),
        _dead(received, "KeyError: 'lines'", now - timedelta(minutes=20), attempts=8),
        _dead(
            a_delivery(id=HOSTILE[:40], name=HOSTILE, subject=HOSTILE, body=HOSTILE.encode()),
            HOSTILE,
            now - timedelta(seconds=40),
            attempts=3,
        ),
    ]


def _dead(delivery: Delivery, why: str, at: Any, *, attempts: int) -> Delivery:
    return delivery.died(why, at, attempts=attempts)


@asynccontextmanager
async def service_with(deliveries: Sequence[Delivery], folder: Path, **settings: str) -> AsyncIterator[Process]:
    """`crossdock up` on a database in which these were recorded before."""
    file = folder / "crossdock.db"
    upgrade_sqlite(file)
    store = SqlitePersistence(file, SystemClock())
    await store.start()
    for delivery in deliveries:
        await store.commit([Record(delivery)])
    await store.stop()
    with Process(folder, "up", settings={**SETTINGS, **settings}) as service:
        yield service


@pytest.fixture
def visit() -> Visit:
    """Do something with the page of a service, in a browser; what was seen."""
    browser = chromium()
    node_packages()

    def go(url: str, **wanted: Any) -> Any:
        return json.loads(run_node("operator.mjs", browser, url, TOKEN, given=json.dumps(wanted)))

    return go
