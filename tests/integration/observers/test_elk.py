"""The log in a store that people search: OpenSearch, brought there by rsyslog as `deploy/logs` has it."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from entrypoints.observability import configure_logging
from prove.process import Process
from tests.logged import logging_restored
from tests.services import private
from tools.services.failures import Failure, NotInstalled
from tools.services.opensearch import OpenSearch
from tools.services.packages import install, may_install
from tools.services.programs import program

SAMPLES = Path(__file__).parents[3] / "deploy" / "logs"
PACKAGES = ["rsyslog", "rsyslog-elasticsearch"]
TRACE = "0af7651916cd43dd8448eb211c80319c"
REQUEST = "the-order-of-the-test"
PATIENCE_SECONDS = 40.0


@pytest.fixture(scope="module")
def store() -> Iterator[httpx.Client]:
    if not program("rsyslogd"):
        if not may_install():
            pytest.skip(str(NotInstalled(PACKAGES)))
        try:
            install(PACKAGES)
        except Failure as failure:
            pytest.skip(str(failure))
    with private(OpenSearch) as server, httpx.Client(base_url=server.address, timeout=30) as client:
        template = json.loads((SAMPLES / "index-template.json").read_text())
        client.put("/_index_template/crossdock-logs", json=template).raise_for_status()
        yield client


@contextmanager
def shipping(log: Path, store: httpx.Client, folder: Path) -> Iterator[Path]:
    """The sample, for these places; gives the file of what the store refuses."""
    text = (SAMPLES / "rsyslog.conf").read_text()
    for said, meant in (
        ("/var/lib/crossdock-logs", str(folder)),
        ("/var/log/crossdock.log", str(log)),
        ('serverport="9200"', f'serverport="{store.base_url.port}"'),
    ):
        assert said in text
        text = text.replace(said, meant)
    conf = folder / "rsyslog.conf"
    conf.write_text(text)
    rsyslogd = str(program("rsyslogd"))
    subprocess.run([rsyslogd, "-N1", "-f", conf], check=True, capture_output=True, timeout=30)
    with subprocess.Popen([rsyslogd, "-n", "-f", conf, "-i", folder / "pid"]) as shipper:
        try:
            yield folder / "err.json"
        finally:
            shipper.terminate()
            shipper.wait(20)


def found(store: httpx.Client, field: str, value: str) -> list[dict[str, Any]]:
    """The lines that have exactly this."""
    store.post("/crossdock-logs-*/_refresh")
    query = {"query": {"term": {field: value}}, "size": 200, "sort": ["@timestamp"]}
    answer = store.post("/crossdock-logs-*/_search", json=query)
    return [hit["_source"] for hit in answer.json()["hits"]["hits"]] if answer.is_success else []


def said_by_an_order(folder: Path) -> Path:
    """The log of a service that has registered a user and taken an order, up to the mail."""
    settings = {
        "PORT": "0",
        "DATABASE_URL": "sqlite:///crossdock.db",
        "CROSSDOCK_LOG_FORMAT": "json",
        "CROSSDOCK_LOG_LEVEL": "debug",
        "CROSSDOCK_WEATHER": "sample",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=rehearsal",
    }
    line = {"sku": "tea-1", "quantity": 2, "unit_price": "9.90"}
    with Process(folder, "up", settings=settings) as service, httpx.Client(base_url=service.url, timeout=20) as client:
        user = client.post("/register-user/", json={"email": "ann@example.com"}).json()["id"]
        headers = {"X-Request-ID": REQUEST, "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        order = {"user_id": user, "currency": "EUR", "lines": [line]}
        assert client.post("/orders/", json=order, headers=headers).status_code == 201
        until = time.monotonic() + PATIENCE_SECONDS
        while "send_order_confirmation" not in service.log.rpartition("is done")[0][-300:]:
            assert time.monotonic() < until, service.tail()
            time.sleep(0.05)
        service.tell_to_end()
        service.process.wait(20)
    return service.file


def say_what_is_odd(log: Path) -> None:
    """Values of many types under the same names, as nobody should log them."""
    with log.open("a") as stream, logging_restored():
        configure_logging("json", "info", stream=stream)
        odd = structlog.get_logger("crossdock.odd")
        for value in (7, 7.5, "seven", True, [7], {"of": 7}, "x" * 40_000):
            odd.info("odd", odd=value, status=value, path=value, message=value, duration_ms=value)


def test_the_lines_of_an_order_are_found_by_request_trace_and_message(store: httpx.Client, tmp_path: Path) -> None:
    log = said_by_an_order(tmp_path)
    say_what_is_odd(log)
    shipped = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    shipped = [line for line in shipped if line["log.logger"] != "crossdock.mail"]

    with shipping(log, store, tmp_path) as refused:
        until = time.monotonic() + PATIENCE_SECONDS
        while store.get("/crossdock-logs-*/_count").json().get("count", 0) < len(shipped):
            assert time.monotonic() < until, refused.read_text() if refused.exists() else "nothing was refused"
            store.post("/crossdock-logs-*/_refresh")

    (request,) = [line for line in found(store, "http.request.id", REQUEST) if line["message"] == "request"]
    assert (request["http.response.status_code"], request["service.environment"]) == (201, "rehearsal")
    of_trace = found(store, "trace.id", TRACE)
    messages = list(dict.fromkeys(line["labels.message_id"] for line in of_trace if "labels.message_id" in line))
    assert len(messages) >= 2  # the event and the task that follows from it
    event = [line["message"].split()[-1] for line in found(store, "labels.message_id", messages[0])]
    assert {"recorded", "published", "handled"} <= set(event)
    assert len(found(store, "log.logger", "crossdock.odd")) == 7
    assert found(store, "log.logger", "crossdock.mail") == []
    assert not refused.exists() or refused.read_text() == ""
