"""Probes: is the process alive, and should it be sent requests."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from entrypoints.web.dependencies import HealthOf
from entrypoints.web.errors import Problem
from entrypoints.web.fields import to_json
from entrypoints.web.lean_route import LeanRoute
from entrypoints.web.openapi import problems

router = APIRouter(tags=["operations"], route_class=LeanRoute)


class LifeDocument(TypedDict):
    """That it answers at all is the news."""

    status: Literal["alive"]


class CheckDocument(TypedDict):
    """How one thing is; while it is not `ready`: why (`cause`, one word), in words, what to do, and since when."""

    status: str
    cause: str
    detail: str
    cure: str
    since: str


class ReadinessDocument(TypedDict):
    """`degraded`: requests are served, and `checks` says what is not as it should be."""

    status: Literal["ready", "degraded"]
    checks: dict[str, CheckDocument]


@router.get("/livez", operation_id="getLiveness", response_model=LifeDocument, responses=problems())
async def livez() -> Response:
    """Alive, whatever is out of reach: a restart would not bring it back."""
    return Response(to_json({"status": "alive"}), media_type="application/json")


@router.get("/readyz", operation_id="getReadiness", response_model=ReadinessDocument, responses=problems("not-ready"))
async def readyz(request: Request, health_check: HealthOf) -> Response:
    """Whether requests can be served, with what and why."""
    if request.app.state.draining:
        raise Problem("not-ready", "The service is draining before its end.")
    health = await health_check.check()
    checks = {name: dict(check) for name, check in health.checks.items()}
    if health.status == "unavailable":
        failing = ", ".join(name for name, check in checks.items() if check.get("status") == "unavailable")
        raise Problem("not-ready", f"Out of reach: {failing or 'what it depends on'}.", more={"checks": checks})
    return Response(to_json({"status": health.status, "checks": checks}), media_type="application/json")
