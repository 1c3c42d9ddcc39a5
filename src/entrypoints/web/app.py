"""The web application, put together."""

import logging
import secrets
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from entrypoints.asyncapi import describe_events
from entrypoints.web import (
    asyncapi,
    docs,
    health,
    metrics,
    operator,
    operator_live,
    operator_page,
    orders,
    pages,
    problems,
    users,
    weather,
)
from entrypoints.web.access_log import log_access
from entrypoints.web.callers import Callers
from entrypoints.web.dependencies import Container
from entrypoints.web.edge_options import EdgeOptions
from entrypoints.web.errors import HANDLERS, install_error_handlers
from entrypoints.web.idempotency import KeysInUse
from entrypoints.web.lean_routing import LeanRouting
from entrypoints.web.middleware import Edge
from entrypoints.web.openapi import describe
from entrypoints.web.openapi_headers import HEADERS
from entrypoints.web.operator import Chosen
from entrypoints.web.operator_access import OperatorAccess
from entrypoints.web.orders import NewOrder
from entrypoints.web.rate_limits import RateLimits
from entrypoints.web.security import protection
from entrypoints.web.tracing import NOT_BY_THE_FRAMEWORK, Tracing
from entrypoints.web.users import NewUser
from ports.told_once import ToldOnce

CORS_SECONDS = 600  # that a browser remembers what it was told about another site
EXPOSED = tuple(sorted({*HEADERS, "Idempotency-Replayed"}))  # what pages of other sites may read of an answer

# In the order of how often they are asked for: routes are tried one after the other.
_ROUTERS = (
    orders.router,
    users.router,
    weather.router,
    health.router,
    metrics.router,
    operator.router,
    operator_live.router,
    operator_page.router,
    docs.router,
    asyncapi.router,
    problems.router,
    pages.router,
)


class _Application(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        """Only our layers, and within them those that serve routes: our edge answers for what nobody foresaw."""
        app: ASGIApp = ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)
        for layer, arguments, options in reversed(self.user_middleware):
            app = layer(app, *arguments, **options)
        return app


def create_app(
    container: Container,
    *,
    operator_token: str | None,
    weather_ttl: float = 600,
    topic_prefix: str = "",
    partitions: int = 12,
    docs_client: docs.DocsClient | None = None,
    tracing: Tracing | None = None,
    edge: EdgeOptions = EdgeOptions(),  # noqa: B008 - it is frozen
) -> FastAPI:
    """The application over ``container``, whose parts the serving process has started and will stop.

    Without ``operator_token``, and tokens of callers that could have its scope, the operator paths are off.
    ``weather_ttl`` is how many seconds the weather is fresh; ``topic_prefix`` and ``partitions`` are those of the event
    broker, for the document about it; as ``docs_client`` the page of the API signs people in. To drain, set
    ``app.state.draining``: readiness turns red and requests are served on. With ``tracing`` a span is written for
    each request that is told. ``edge`` bounds what callers may do.
    """
    app = _Application(
        title="Crossdock",
        version=version("crossdock"),
        description="Users, orders and the weather. Errors are problem documents (RFC 9457). What travels over the "
        "event broker is in [another document](/docs/events).",
        docs_url=None,
        redoc_url=None,
        # Starlette's redirects go to the Host that the caller names, and take the operator's token along; see errors.
        redirect_slashes=False,
        telemetry=NOT_BY_THE_FRAMEWORK,
    )
    app.state.container = container
    app.state.draining = False
    app.state.told = ToldOnce(logging.getLogger("crossdock.web"), forgets=True)
    app.state.weather_ttl = weather_ttl
    app.state.event_document = describe_events(topic_prefix=topic_prefix, partitions=partitions)
    identity = container.identity()
    app.state.identity = identity if identity.wants_tokens else None
    app.state.docs_client = docs_client
    if operator_token is None and identity.wants_tokens:
        operator_token = secrets.token_urlsafe(32)  # nobody's: the way in is a token of the scope
    app.state.operator_access = None if operator_token is None else OperatorAccess(operator_token)
    app.state.live = operator_live.live_of(container)
    app.state.keys_in_use = KeysInUse(container.clock())
    for router in _ROUTERS:
        if edge.metrics or router is not metrics.router:
            # Not include_router: it looks every request up twice, which is most of what a route costs.
            app.router.routes.extend(router.routes)
    install_error_handlers(app)
    describe(
        app,
        bodies=[NewUser, NewOrder, Chosen],
        protection=protection(app.routes) if identity.wants_tokens else None,
    )
    # From the inside to the outside.
    app.add_middleware(LeanRouting, routes=app.routes, handlers=HANDLERS)
    if edge.rate_limit is not None:
        callers = Callers(app.state.identity, edge.trusted_proxies)
        app.add_middleware(RateLimits, limit=edge.rate_limit, callers=callers)
    if edge.cors_origins:
        # Any header: what is refused is refused by the route, with a problem, and not by the browser.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=edge.cors_origins,
            allow_methods=_methods_of(app),
            allow_headers=["*"],
            expose_headers=EXPOSED,
            max_age=CORS_SECONDS,
        )
    app.add_middleware(
        Edge,
        pace=container.pace(),
        observers=[metrics.counted_by(container, container.pace())] if edge.metrics else [],
        log=log_access,
        in_flight_most=edge.in_flight_most,
        tracing=tracing,
    )
    return app


def _methods_of(app: FastAPI) -> list[str]:
    """What some route answers; HEAD wherever there is a GET."""
    return sorted({"HEAD"}.union(*(route.methods or () for route in app.routes if isinstance(route, Route))))
