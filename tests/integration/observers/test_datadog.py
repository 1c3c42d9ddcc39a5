"""Traces, metrics and log lines as the agent of Datadog takes them."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from prove.process import Process
from tests.integration.observers.bugsink import BIN, need_observers
from tests.services import private
from tools.services.ports import HOST
from tools.services.probes import gets
from tools.services.server import Server

PATIENCE_SECONDS = 30.0


class TestAgent(Server):
    """Datadog's own agent for tests; it forwards nothing."""

    __test__ = False
    name = "ddapm-test-agent"
    uses = ("agent", "otlp", "grpc")

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def otlp(self) -> str:
        return f"http://{HOST}:{self.ports['otlp']}"

    @classmethod
    def missing(cls) -> list[str]:
        return []

    def answers(self) -> bool:
        return gets(self.port, "/info")

    def _begin(self) -> None:
        ports = ("-p", str(self.port), "--otlp-http-port", str(self.ports["otlp"]))
        self._main.spawn(
            [BIN / "ddapm-test-agent", "--host", HOST, *ports, "--otlp-grpc-port", str(self.ports["grpc"])],
            self.log,
            {"DD_DISABLE_FORWARDING": "true"},
        )


@pytest.fixture(scope="module")
def agent() -> Iterator[TestAgent]:
    need_observers()
    with private(TestAgent) as server:
        yield server


def spans(agent: TestAgent) -> list[tuple[dict[str, str], Any]]:
    """What has arrived, each with what its process says of itself."""
    found: list[tuple[dict[str, str], Any]] = []
    for request in httpx.get(f"{agent.address}/test/session/requests", timeout=10).json():
        if request["url"].endswith("/v1/traces"):
            told = ExportTraceServiceRequest.FromString(base64.b64decode(request["body"]))
            for of_resource in told.resource_spans:
                resource = {one.key: one.value.string_value for one in of_resource.resource.attributes}
                found += [(resource, span) for scope in of_resource.scope_spans for span in scope.spans]
    return found


def becomes(look: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if look():
            return True
        time.sleep(0.1)
    return False


def test_the_trace_of_a_request_its_service_and_its_log_lines_are_one_for_datadog(
    agent: TestAgent, tmp_path: Path
) -> None:
    settings = {
        "PORT": "0",
        "DATABASE_URL": "sqlite:///crossdock.db",
        "CROSSDOCK_LOG_FORMAT": "datadog",
        "CROSSDOCK_WEATHER": "sample",
        "OTEL_EXPORTER_OTLP_ENDPOINT": agent.otlp,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=rehearsal,service.version=7.7.7",
    }
    with (
        Process(tmp_path, "up", settings=settings) as service,
        httpx.Client(base_url=service.url, timeout=20) as client,
    ):
        client.post("/register-user/", json={"email": "ann@example.com"}, headers={"X-Request-ID": "of-the-test"})
        assert becomes(lambda: '"email.message_id"' in service.log)
        service.tell_to_end()
        assert service.process.wait(20) == 0
        lines = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]

    (line,) = [line for line in lines if line.get("http.request.id") == "of-the-test"]
    (mail,) = [line for line in lines if "email.message_id" in line]
    assert becomes(lambda: line["trace.id"] in {span.trace_id.hex() for _, span in spans(agent)})
    ours = [(resource, span) for resource, span in spans(agent) if span.trace_id.hex() == line["trace.id"]]
    assert {str(int.from_bytes(span.trace_id[8:])) for _, span in ours} == {line["dd.trace_id"]}
    assert line["dd.span_id"] in {str(int.from_bytes(span.span_id)) for _, span in ours}
    assert mail["dd.trace_id"] == line["dd.trace_id"]
    tags = {("shop", "rehearsal", "7.7.7")}
    named = ("service.name", "deployment.environment.name", "service.version")
    assert {tuple(resource[name] for name in named) for resource, _ in ours} == tags
    assert {(one["dd.service"], one["dd.env"], one["dd.version"]) for one in lines} == tags
    metrics = httpx.get(f"{agent.otlp}/test/session/metrics", timeout=10).text
    assert "crossdock" in metrics
