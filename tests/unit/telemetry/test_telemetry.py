"""What is told arrives; a collector that is away costs a line in the log, and to tell nothing costs nothing."""

import logging
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from entrypoints.settings import Settings
from entrypoints.telemetry import Losses, Telemetry
from tests.stand_ins.collector import collecting

ROOT = Path(__file__).parents[3]
EXPORTER_SECONDS = 10.0  # that OTLPSpanExporter waits for an answer


def a_telemetry(**environ: str) -> Telemetry:
    return Telemetry(Settings.load(environ, None).telemetry, process="here:1")


def tell(telemetry: Telemetry, name: str = "work") -> None:
    telemetry.tracer_provider.get_tracer("test").start_span(name).end()


async def test_what_is_left_is_told_at_the_end() -> None:
    with collecting() as collector:
        telemetry = a_telemetry(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20secret",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        )

        tell(telemetry)
        await telemetry.stop()

        (span,) = collector.spans
        (request,) = collector.requests
        assert span.name == "work"
        assert request.headers["authorization"] == "Bearer secret"
        assert span.resource["service.name"] == "crossdock"
        assert span.resource["service.instance.id"] == "here:1"
        assert span.resource["deployment.environment.name"] == "test"


@pytest.mark.parametrize(
    ("sampler", "ratio", "told"),
    [
        ("parentbased_always_on", "1", 1),
        ("always_off", "1", 0),
        ("parentbased_always_off", "1", 0),
        ("traceidratio", "0", 0),
        ("parentbased_traceidratio", "1", 1),
    ],
)
async def test_the_sampler_says_what_is_told(sampler: str, ratio: str, told: int) -> None:
    with collecting() as collector:
        telemetry = a_telemetry(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=ratio
        )

        tell(telemetry)
        await telemetry.stop()

        assert len(collector.spans) == told


async def test_a_collector_that_is_silent_blocks_neither_work_nor_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """It takes the connection and says nothing: whoever waited for it would do so for all of the exporter's time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        telemetry = a_telemetry(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://user:secret@127.0.0.1:{port}")
        began = time.monotonic()

        for _ in range(1_000):
            tell(telemetry)
        await telemetry.stop()

        took = time.monotonic() - began

    assert took < EXPORTER_SECONDS
    assert "secret" not in caplog.text


def test_losses_are_told_at_once_then_seldom_and_when_they_end(caplog: pytest.LogCaptureFixture) -> None:
    losses = Losses("spans", "http://user:secret@collector:4318/v1/traces")
    caplog.set_level(logging.INFO)

    for _ in range(10):
        losses.lost(5)
    losses.delivered()
    losses.delivered()

    assert caplog.messages == [
        "http://user:***@collector:4318/v1/traces does not take our spans: 5 are lost",
        "http://user:***@collector:4318/v1/traces takes our spans again: 50 were lost",
    ]


@pytest.mark.parametrize(
    ("environ", "tells"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
    ids=["nothing", "endpoint", "traces endpoint", "exporter", "no exporter", "disabled"],
)
def test_traces_are_told_when_somebody_says_so(environ: dict[str, str], tells: bool) -> None:
    assert Settings.load(environ, None).telemetry.tells_traces is tells


def test_the_sdk_is_not_even_imported_until_there_is_something_to_tell() -> None:
    code = (
        "import asyncio, sys\n"
        "from entrypoints.testing import crossdock\n"
        "async def main():\n"
        "    async with crossdock() as dock:\n"
        "        await dock.client.post('/register-user/', json={'email': 'ann@example.com'})\n"
        "        await dock.settle()\n"
        "        assert dock.mails\n"
        "asyncio.run(main())\n"
        "print(*(name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("sampler", "ratio"),
    [("parentbased_traceidratio", 0.25), ("traceidratio", 0.25), ("always_off", None), ("parentbased_always_on", None)],
)
async def test_the_ratio_of_traces_is_known_where_the_sampler_goes_by_it(sampler: str, ratio: float | None) -> None:
    """Whoever knows it need not ask the sampler for each request."""
    telemetry = a_telemetry(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG="0.25"
    )
    await telemetry.stop()

    assert (telemetry.ratio and telemetry.ratio.rate) == ratio
