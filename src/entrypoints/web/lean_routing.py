"""The short way to lean routes."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from fastapi import Request, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from entrypoints.web.lean_route import LeanRoute

# Answers for an error of the kind that it is registered for.
Handler = Callable[[Request, Any], Awaitable[Response]]


class LeanRouting:
    """Answers what a `LeanRoute` serves, and leaves everything else to the framework.

    The framework tries its routes one after the other, and the layers before and behind that serve its own
    dependencies and files: of a quick request they are a fifth. A request finds the same route here as there, and an
    error the same handler.
    """

    def __init__(
        self, app: ASGIApp, *, routes: Iterable[BaseRoute], handlers: Mapping[type[Exception], Handler]
    ) -> None:
        self._app = app
        self._handlers = handlers
        self._routes: dict[tuple[str, str], list[Route]] = {}
        for route in routes:
            if not isinstance(route, Route) or (start := _start_of(route.path)) is None:
                break  # it may match anything, and what stands behind it must not come first
            for method in route.methods or ():
                self._routes.setdefault((method, start), []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._route(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        if route is None or route.answer is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await route.answer(request)
        except Exception as error:
            handler = next((self._handlers[kind] for kind in type(error).__mro__ if kind in self._handlers), None)
            if handler is None:
                raise
            response = await handler(request, error)
            error.__traceback__ = None  # one error may be told to many: it would grow with each of them
        await response(scope, receive, send)

    def _route(self, scope: Scope) -> LeanRoute | None:
        path: str = scope["path"]
        for route in self._routes.get((scope["method"], _start_of(path) or ""), ()):
            match = route.path_regex.match(path)
            if match is None:
                continue
            if not isinstance(route, LeanRoute):
                return None
            convertors = route.param_convertors
            scope["path_params"] = {name: convertors[name].convert(value) for name, value in match.groupdict().items()}
            scope["route"], scope["endpoint"] = route, route.endpoint
            return route
        return None


def _start_of(path: str) -> str | None:
    """The first step of a path, up to the slash behind it; None when it is a parameter."""
    end = path.find("/", 1)
    start = path if end < 0 else path[: end + 1]
    return None if "{" in start else start
