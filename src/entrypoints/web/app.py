"""The web application, put together."""

from importlib.metadata import version

from fastapi import FastAPI

from entrypoints.web import (
    docs,
    health,
    metrics,
    operator,
    operator_page,
    orders,
    pages,
    problems,
    users,
    weather,
)
from entrypoints.web.access_log import log_access
from entrypoints.web.dependencies import Container
from entrypoints.web.errors import install_error_handlers
from entrypoints.web.metrics import RequestMetrics
from entrypoints.web.middleware import Edge
from entrypoints.web.openapi import describe
from entrypoints.web.operator_access import OperatorAccess
from entrypoints.web.orders import NewOrder
from entrypoints.web.users import NewUser

# In the order of how often they are asked for: routes are tried one after the other.
_ROUTERS = (
    orders.router,
    users.router,
    weather.router,
    health.router,
    metrics.router,
    operator.router,
    operator_page.router,
    docs.router,
    problems.router,
    pages.router,
)


def create_app(
    container: Container, *, operator_token: str | None, weather_ttl: float = 600, telemetry: bool = False
) -> FastAPI:
    """The application over ``container``, whose parts the serving process has started and will stop.

    Without ``operator_token`` the operator paths are off. ``weather_ttl`` is how many seconds the weather is fresh. To
    drain, set ``app.state.draining``: readiness turns red and requests are served on. ``telemetry`` lets FastAPI write
    OpenTelemetry of its own; without it, requests are spared the question whether anybody listens.
    """
    app = FastAPI(
        title="Crossdock",
        version=version("crossdock"),
        description="Users, orders and the weather. Errors are problem documents (RFC 9457).",
        docs_url=None,
        redoc_url=None,
        # Starlette's redirects go to the Host that the caller names, and take the operator's token along; see errors.
        redirect_slashes=False,
        telemetry={"tracing": telemetry, "metrics": telemetry, "logs": telemetry},
    )
    app.state.container = container
    app.state.draining = False
    app.state.weather_ttl = weather_ttl
    app.state.operator_access = None if operator_token is None else OperatorAccess(operator_token)
    app.state.request_metrics = RequestMetrics()
    for router in _ROUTERS:
        # Not include_router: it looks every request up twice, which is most of what a route costs.
        app.router.routes.extend(router.routes)
    install_error_handlers(app)
    describe(app, bodies=[NewUser, NewOrder])
    app.add_middleware(Edge, pace=container.pace(), observers=(app.state.request_metrics, log_access))
    return app
