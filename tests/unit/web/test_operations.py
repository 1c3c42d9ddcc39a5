import httpx
import pytest
from fastapi import FastAPI

from domain.delivery.pace import Pace
from entrypoints.health import Health
from entrypoints.metrics.exposition import exposition
from entrypoints.testing import crossdock
from entrypoints.web.metrics import BOUNDS, RequestMetrics
from entrypoints.web.probes import create_probe_app
from ports.deliveries import State
from ports.errors import Unavailable
from ports.persistence import Record
from ports.trouble import Cause
from tests.builders import a_delivery, a_task
from tests.clock import ManualClock
from tests.unit.web.parts import Parts
from tests.unit.web.talk import client_of, problem


async def test_the_process_says_that_it_is_alive_whatever_else_is_down(
    client: httpx.AsyncClient, parts: Parts, app: FastAPI
) -> None:
    await parts.store.stop()
    app.state.draining = True

    answer = await client.get("/livez")

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize("status", ["ready", "degraded"])
async def test_readiness_says_what_is_wrong_and_serves_on_while_it_can(
    client: httpx.AsyncClient, parts: Parts, status: str
) -> None:
    checks = {"storage": {"status": "ready", "detail": ""}, "event_broker": {"status": status, "detail": "why"}}
    parts.well_being.health = Health(status, checks)  # type: ignore[arg-type]

    answer = await client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": status, "checks": checks}


async def test_readiness_is_red_while_the_storage_is_down_and_says_so(client: httpx.AsyncClient, parts: Parts) -> None:
    checks = {"storage": {"status": "unavailable", "detail": "connection refused"}}
    parts.well_being.health = Health("unavailable", checks)

    answer = await client.get("/readyz")

    document = problem(answer, 503, "not-ready")
    assert document["checks"] == checks
    assert "storage" in document["detail"]


async def test_readiness_is_red_while_draining_and_requests_are_served_on(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    app.state.draining = True

    ready = await client.get("/readyz")
    orders = await client.get("/orders/")

    assert "draining" in problem(ready, 503, "not-ready")["detail"]
    assert orders.status_code == 200


async def test_metrics_count_requests_by_template_method_and_status(client: httpx.AsyncClient) -> None:
    await client.get("/orders/17")
    await client.get("/orders/18")
    await client.request("BREW", "/any/thing")

    answer = await client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'crossdock_http_requests_total{method="GET",route="/orders/{id}",status="404"} 2.0' in lines
    assert 'crossdock_http_requests_total{method="OTHER",route="unmatched",status="404"} 1.0' in lines
    assert 'crossdock_http_request_duration_seconds_count{method="GET",route="/orders/{id}"} 2.0' in lines


async def test_metrics_count_deliveries_by_lane_and_state_and_name_the_build(
    client: httpx.AsyncClient, parts: Parts
) -> None:
    await parts.store.commit([Record(a_delivery()), Record(a_task(state=State.DEAD))])

    text = (await client.get("/metrics")).text

    assert 'crossdock_deliveries{lane="event",state="ready"} 1.0' in text
    assert 'crossdock_deliveries{lane="task",state="dead"} 1.0' in text
    assert 'crossdock_deliveries{lane="received",state="dead"} 0.0' in text
    assert "crossdock_storage_up 1.0" in text
    assert "crossdock_build_info{" in text


async def test_metrics_tell_of_each_check_which_cause_it_is_in_trouble_for(
    client: httpx.AsyncClient, parts: Parts
) -> None:
    """Each cause has its sample also while all is well, so that an alert on it is never without data."""
    checks = {"storage": {"status": "ready", "cause": ""}, "event_broker": {"status": "degraded", "cause": "stuck"}}
    parts.well_being.health = Health("degraded", checks)

    text = (await client.get("/metrics")).text

    assert 'crossdock_check{cause="stuck",check="event_broker"} 1.0' in text
    for cause in Cause:
        assert f'crossdock_check{{cause="{cause}",check="storage"}} 0.0' in text


async def test_a_role_without_http_of_its_own_answers_probes_and_nothing_else(parts: Parts) -> None:
    app = create_probe_app(parts)

    async with client_of(app) as client:
        paths = ("/livez", "/readyz", "/metrics", "/orders/", "/docs", "/openapi.json", "/operator/")
        statuses = [(await client.get(path)).status_code for path in paths]
        app.state.draining = True
        draining = await client.get("/readyz")

    assert statuses == [200, 200, 200, 404, 404, 404, 404]
    assert "draining" in problem(draining, 503, "not-ready")["detail"]


async def test_a_role_told_to_count_nothing_answers_its_probes_alone(parts: Parts) -> None:
    """Whoever asks for metrics learns that there are none, and nobody gathers them."""
    async with client_of(create_probe_app(parts, metrics=False)) as client:
        statuses = [(await client.get(path)).status_code for path in ("/livez", "/readyz", "/metrics")]

    assert statuses == [200, 200, 404]


async def test_a_service_told_to_count_nothing_has_no_metrics_and_answers_as_ever() -> None:
    """Nothing of it is left: no page, no word of it in the API's document, no source that was counted into."""
    async with crossdock(CROSSDOCK_METRICS="false") as dock:
        statuses = [(await dock.client.get(path)).status_code for path in ("/livez", "/weather/Oslo", "/metrics")]
        document = (await dock.client.get("/openapi.json")).json()
        families = await dock.container.metrics().families()

    assert statuses == [200, 200, 404]
    assert "/metrics" not in document["paths"]
    assert not [family.name for family in families if family.name.startswith("crossdock_http_")]


async def test_a_probe_that_meets_what_is_away_is_refused_with_a_problem(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> Health:
        raise Unavailable("the disk failed")

    monkeypatch.setattr(parts.well_being, "check", away)

    async with client_of(create_probe_app(parts)) as client:
        answer = await client.get("/readyz")

    problem(answer, 503, "storage-unavailable")


async def test_metrics_are_told_while_the_storage_is_down(client: httpx.AsyncClient, parts: Parts) -> None:
    await parts.store.stop()

    answer = await client.get("/metrics")

    assert answer.status_code == 200
    assert "crossdock_storage_up 0.0" in answer.text
    assert "crossdock_deliveries" not in answer.text


async def test_the_buckets_of_a_duration_add_up() -> None:
    metrics = RequestMetrics(Pace(ManualClock()))
    scope = {"method": "GET"}

    for seconds in (0.0, BOUNDS[0], 0.3, 99.0):
        metrics(scope, 200, seconds)

    lines = exposition(await metrics.families()).decode().splitlines()
    name, labels = "crossdock_http_request_duration_seconds", 'method="GET",route="unmatched"'
    for bound, count in (("0.001", 2), ("0.5", 3), ("10.0", 3), ("+Inf", 4)):
        assert f'{name}_bucket{{le="{bound}",{labels}}} {count}.0' in lines
