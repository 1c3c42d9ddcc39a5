"""OpenTelemetry: what this process tells a collector about its work.

Importing this imports the SDK: the container does, when there is something to tell.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from entrypoints.settings_ports import TelemetrySettings
from entrypoints.settings_variables import masked

log = logging.getLogger("crossdock.telemetry")

FLUSH_SECONDS = 2.0  # for the last of it, when the process ends
TOLD_AGAIN_SECONDS = 60.0  # between two lines about a collector that is away
TEXT_MOST = 500  # characters of an attribute: callers choose what some of them say


class Telemetry:
    """What a process exports with.

    Each kind has a bounded queue and a thread of its own, made with this object: it belongs to one process and is never
    made before a fork. A collector that is away holds up nobody: what finds no room is dropped.
    """

    def __init__(self, chosen: TelemetrySettings, *, process: str) -> None:
        self.resource = resource(chosen, process)
        url = chosen.url("v1/traces", chosen.traces_endpoint)
        exporter = OTLPSpanExporter(
            url, certificate_file=None if chosen.ca_file is None else str(chosen.ca_file), headers=chosen.header_values
        )
        self.ratio = TraceIdRatioBased(chosen.sampler_ratio) if chosen.sampler.endswith("traceidratio") else None
        self.tracer_provider = TracerProvider(
            sampler(chosen.sampler, chosen.sampler_ratio),
            self.resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=TEXT_MOST),
        )
        self.tracer_provider.add_span_processor(BatchSpanProcessor(_Spans(exporter, Losses("spans", url))))

    async def stop(self) -> None:
        """Export what is left, as far as the collector takes it within a bound."""
        await ended(self.tracer_provider.shutdown)

    async def flush(self) -> None:
        """Return when all that was told until now has been exported; for test suites."""
        await asyncio.to_thread(self.tracer_provider.force_flush)


def resource(chosen: TelemetrySettings, process: str) -> Resource:
    """What this process says of itself with whatever it tells."""
    return Resource.create(
        {
            "service.name": "crossdock",
            "service.version": version("crossdock"),
            "service.instance.id": process,
            **chosen.resource_values,
            **({} if chosen.service_name is None else {"service.name": chosen.service_name}),
        }
    )


async def ended(shutdown: Callable[[], None]) -> None:
    """Return when an exporter was shut down, or its time is over."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        shutdown()
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(done.set)

    # A daemon: while the collector hangs the process can end all the same.
    threading.Thread(target=end, name="telemetry-end", daemon=True).start()
    with suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), FLUSH_SECONDS)


def sampler(name: str, ratio: float) -> Sampler:
    """The sampler that OpenTelemetry has this name for."""
    roots = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF, "traceidratio": TraceIdRatioBased(ratio)}
    root: Sampler = roots[name.removeprefix("parentbased_")]
    return ParentBased(root) if name.startswith("parentbased_") else root


class Losses:
    """Says in the log that a collector does not take what it is told: at once, and then now and then."""

    def __init__(self, what: str, url: str) -> None:
        self._what = what
        self._where = masked(url)
        self._lost = 0
        self._told_at = float("-inf")

    def lost(self, number: int) -> None:
        """So many could not be delivered."""
        self._lost += number
        now = time.monotonic()
        if now - self._told_at >= TOLD_AGAIN_SECONDS:
            self._told_at = now
            log.warning("%s does not take our %s: %d are lost", self._where, self._what, self._lost)

    def delivered(self) -> None:
        """It takes them."""
        if self._lost:
            log.info("%s takes our %s again: %d were lost", self._where, self._what, self._lost)
            self._lost, self._told_at = 0, float("-inf")


class _Spans(SpanExporter):
    """An exporter whose failures are told as `Losses` tells them; its own words are kept out of the log."""

    def __init__(self, exporter: SpanExporter, losses: Losses) -> None:
        self._exporter = exporter
        self._losses = losses

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._losses.delivered()
        else:
            self._losses.lost(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
