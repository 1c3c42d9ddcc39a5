"""What monitors read: Prometheus metrics, and of them those of the requests."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Response
from starlette.types import Scope

from domain.delivery.pace import Pace
from entrypoints.metrics.exposition import CONTENT_TYPE, exposition
from entrypoints.metrics.family import Family, Kind
from entrypoints.web.access_log import method_of, route_of
from entrypoints.web.dependencies import Container, MetricsOf
from entrypoints.web.openapi import problems
from ports.histogram import Histogram

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
UNMATCHED = "unmatched"  # paths that no route knows are without number

router = APIRouter(tags=["operations"])

# What the library that writes it calls its format; it is not imported for that.
_PROMETHEUS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


class RequestMetrics:
    """Counts requests by route, method and status, and how long they took.

    Plain dictionaries: a request costs a microsecond here.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], Histogram] = {}

    def __call__(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = route_of(scope) or UNMATCHED, method_of(scope)
        key = (route, method, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        duration = self._durations.get((route, method))
        if duration is None:
            duration = self._durations[route, method] = Histogram(BOUNDS)
        duration.add(seconds)

    async def families(self) -> Iterable[Family]:
        """As metrics."""
        requests = Family("crossdock_http_requests", Kind.COUNTER, "Requests answered.", ("route", "method", "status"))
        for (route, method, status), count in self._requests.items():
            requests.add(route, method, str(status), value=count)
        durations = Family(
            "crossdock_http_request_duration_seconds",
            Kind.HISTOGRAM,
            "Time from request to answer.",
            ("route", "method"),
        )
        in_flight = Family("crossdock_http_requests_in_flight", Kind.GAUGE, "Requests that are worked on now.")
        return [requests, durations.add_all(self._durations.items()), in_flight.add(value=self._pace.in_flight)]


def counted_by(container: Container, pace: Pace) -> RequestMetrics:
    """Who counts the requests of an application, and tells them with all other metrics."""
    requests = RequestMetrics(pace)
    container.metrics().sources.append(requests.families)
    return requests


@router.get("/metrics", operation_id="getMetrics", response_class=Response, responses={**_PROMETHEUS, **problems()})
async def metrics(metrics_of_process: MetricsOf) -> Response:
    """Prometheus text. What waits is counted over all processes, everything else in those of this port."""
    return Response(exposition(await metrics_of_process.of_all()), media_type=CONTENT_TYPE)
