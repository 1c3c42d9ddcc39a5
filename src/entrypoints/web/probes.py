"""What a role without HTTP of its own answers: whether it lives, whether it is ready, and its metrics."""

import logging

from fastapi import FastAPI

from domain.delivery.pace import Pace
from entrypoints.web import health
from entrypoints.web import metrics as metrics_page
from entrypoints.web.dependencies import Container
from entrypoints.web.errors import install_error_handlers
from entrypoints.web.middleware import Edge
from entrypoints.web.tracing import NOT_BY_THE_FRAMEWORK
from ports.told_once import ToldOnce


def create_probe_app(container: Container, *, metrics: bool = True) -> FastAPI:
    """Probes and ``metrics`` over ``container``, as the web application answers them, and nothing else.

    To drain, set ``app.state.draining``.
    """
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=NOT_BY_THE_FRAMEWORK,
    )
    app.state.container = container
    app.state.draining = False
    app.state.told = ToldOnce(logging.getLogger("crossdock.web"), forgets=True)
    for router in (health.router, *((metrics_page.router,) if metrics else ())):
        app.router.routes.extend(router.routes)
    install_error_handlers(app)
    pace = Pace(container.clock())  # its own: what the role works on is not pressed by probes
    app.add_middleware(Edge, pace=pace, observers=[metrics_page.counted_by(container, pace)] if metrics else [])
    return app
