"""What monitors read: Prometheus metrics of the requests, the deliveries, the outside APIs and the build."""

import platform
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from starlette.types import Scope

from entrypoints.web.access_log import method_of, route_of
from entrypoints.web.dependencies import Outside, Persistence
from entrypoints.web.openapi import problems
from ports.deliveries import Lane, State
from ports.errors import PortError
from ports.outside import BOUNDS as OUTSIDE_BOUNDS
from ports.outside import BreakerState, OutsideCounts

if TYPE_CHECKING:
    from prometheus_client import Metric

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
UNMATCHED = "unmatched"  # paths that no route knows are without number

router = APIRouter(tags=["operations"])

# What the library that writes it calls its format; it is not imported for that.
_PROMETHEUS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


class RequestMetrics:
    """Counts requests by route, method and status, and how long they took.

    Plain dictionaries: a request costs a microsecond here. The library that renders them is not imported before
    somebody asks.
    """

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], _Duration] = {}

    def __call__(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = route_of(scope) or UNMATCHED, method_of(scope)
        key = (route, method, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        duration = self._durations.get((route, method))
        if duration is None:
            duration = self._durations[route, method] = _Duration()
        duration.buckets[bisect_left(BOUNDS, seconds)] += 1
        duration.total += seconds

    def families(self) -> Iterator["Metric"]:
        """As the library's values."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily  # noqa: PLC0415 - see above

        requests = CounterMetricFamily(
            "crossdock_http_requests", "Requests answered.", labels=["route", "method", "status"]
        )
        for (route, method, status), count in self._requests.items():
            requests.add_metric([route, method, str(status)], count)
        yield requests
        durations = HistogramMetricFamily(
            "crossdock_http_request_duration_seconds", "Time from request to answer.", labels=["route", "method"]
        )
        for (route, method), duration in self._durations.items():
            durations.add_metric([route, method], _cumulated(duration.buckets, BOUNDS), duration.total)
        yield durations


class _Duration:
    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0


def _cumulated(buckets: Sequence[int], bounds: Sequence[float]) -> list[tuple[str, float]]:
    result: list[tuple[str, float]] = []
    seen = 0
    for bound, count in zip((*bounds, "+Inf"), buckets, strict=True):
        seen += count
        result.append((str(bound), seen))
    return result


def _outside(counts: OutsideCounts, quota_left: Mapping[str, int]) -> Iterator["Metric"]:
    from prometheus_client.core import (  # noqa: PLC0415 - see above
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    calls = CounterMetricFamily(
        "crossdock_outside_calls", "Calls to outside APIs, also those held back.", labels=["api", "outcome"]
    )
    for (api, outcome), count in counts.calls.items():
        calls.add_metric([api, outcome], count)
    yield calls
    seconds = HistogramMetricFamily(
        "crossdock_outside_call_duration_seconds", "Time of the calls that were not held back.", labels=["api"]
    )
    for api, took in counts.seconds.items():
        seconds.add_metric([api], _cumulated(took.buckets, OUTSIDE_BOUNDS), took.total)
    yield seconds
    recalls = CounterMetricFamily(
        "crossdock_outside_recalls", "What memory had for a question.", labels=["api", "found"]
    )
    for (api, found), count in counts.recalls.items():
        recalls.add_metric([api, found], count)
    yield recalls
    breakers = GaugeMetricFamily(
        "crossdock_outside_breaker", "1 for the state that the breaker is in.", labels=["api", "state"]
    )
    for api, state in counts.breakers.items():
        for one in BreakerState:
            breakers.add_metric([api, one], one is state)
    yield breakers
    changes = CounterMetricFamily(
        "crossdock_outside_breaker_changes", "Changes of a breaker to a state.", labels=["api", "state"]
    )
    for (api, state), count in counts.breaker_changes.items():
        changes.add_metric([api, state], count)
    yield changes
    left = GaugeMetricFamily("crossdock_outside_quota_left", "Calls that would be granted now.", labels=["api"])
    for api, calls_left in quota_left.items():
        left.add_metric([api], calls_left)
    yield left


def _others(counts: Mapping[tuple[Lane, State], int] | None) -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily  # noqa: PLC0415 - see above

    yield GaugeMetricFamily("crossdock_storage_up", "Whether the storage answers.", value=counts is not None)
    if counts is not None:
        deliveries = GaugeMetricFamily(
            "crossdock_deliveries", "Deliveries that are not done.", labels=["lane", "state"]
        )
        for lane in Lane:
            for state in State:
                deliveries.add_metric([lane, state], counts.get((lane, state), 0))
        yield deliveries
    build = {"version": version("crossdock"), "python": platform.python_version()}
    yield InfoMetricFamily("crossdock_build", "What runs here.", value=build)


@router.get("/metrics", operation_id="getMetrics", response_class=Response, responses={**_PROMETHEUS, **problems()})
async def metrics(request: Request, persistence: Persistence, outside: Outside) -> Response:
    """Prometheus text. Deliveries are counted over all processes, requests and calls of outside APIs in this one."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest  # noqa: PLC0415 - see above
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4  # noqa: PLC0415
    from prometheus_client.registry import Collector  # noqa: PLC0415

    counts: Mapping[tuple[Lane, State], int] | None
    try:
        counts = await persistence.ledger.counts()
    except PortError:
        counts = None
    quota_left = await outside.quota_left()

    class Ours(Collector):
        def collect(self) -> Iterator["Metric"]:
            yield from request.app.state.request_metrics.families()
            yield from _outside(outside, quota_left)
            yield from _others(counts)

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Ours())
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)
