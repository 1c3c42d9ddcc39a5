"""FastAPI's own OpenTelemetry: one span for each request, below the place that its caller names."""

from typing import Protocol

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import TracerProvider
from starlette.types import Scope

from entrypoints.web.edge_options import PROBES
from ports.trace_context import TraceContext


class Tracing(Protocol):
    """What writes traces."""

    @property
    def provider(self) -> TracerProvider:
        """Makes spans, and tells a collector."""

    def of_request(self) -> TraceContext | None:
        """Where what is done for the present request belongs."""


def telemetry_of(tracing: Tracing | None) -> TelemetryConfig:
    """What FastAPI is to write; our own numbers and lines are told elsewhere."""
    if tracing is None:
        return {"tracing": False, "metrics": False, "logs": False}
    return {
        "tracing": True,
        "tracer_provider": tracing.provider,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": _is_probe,
    }


def _is_probe(scope: Scope) -> bool:
    return scope["path"] in PROBES
