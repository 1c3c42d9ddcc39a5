"""Routes that call their endpoint without FastAPI's dependency solver where nothing is left for it to solve."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.routing import request_response
from starlette.types import ASGIApp

from entrypoints.web.edge_options import PROBES
from entrypoints.web.reading import only_json

# Gives an endpoint one of its parameters.
Source = Callable[[Request], Awaitable[Any]]


class LeanRoute(APIRoute):
    """An APIRoute that costs what its endpoint costs.

    Solving the dependencies of a request costs more than all of the rest of a quick one, although ours only look things
    up in the container. When each parameter of an endpoint is the request, a text from the path or such a look-up, it
    is called with them at once; any other endpoint is served by FastAPI as always. The documents are the same. Whoever
    does not take JSON is refused first.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        sources = _sources_of(endpoint, set(self.param_convertors))
        self.is_lean = sources is not None and not self.dependencies
        if sources is not None and self.is_lean:
            self.app = _calling(endpoint, sources)
        if path not in PROBES:
            self.app = only_json(self.app)


def _calling(endpoint: Callable[..., Any], sources: dict[str, Source]) -> ASGIApp:
    async def answer(request: Request) -> Response:
        response: Response = await endpoint(**{name: await source(request) for name, source in sources.items()})
        return response

    return request_response(answer)


def _sources_of(endpoint: Callable[..., Any], in_path: set[str]) -> dict[str, Source] | None:
    """Where each parameter comes from; None when one has to be solved, or the answer to be made, by FastAPI."""
    hints = get_type_hints(endpoint, include_extras=True)
    if hints.get("return") is not Response or not inspect.iscoroutinefunction(endpoint):
        return None
    sources = {name: _source_of(name, hints[name], in_path) for name in inspect.signature(endpoint).parameters}
    found = {name: source for name, source in sources.items() if source is not None}
    return found if len(found) == len(sources) else None


def _source_of(name: str, hint: Any, in_path: set[str]) -> Source | None:
    if hint is Request:
        return _itself
    kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if name in in_path and kind is str:
        return _from_path(name)
    for mark in marks:
        if isinstance(mark, Depends) and mark.dependency is not None and _wants_only_the_request(mark.dependency):
            return mark.dependency
    return None


def _wants_only_the_request(dependency: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(dependency).parameters.values())
    return inspect.iscoroutinefunction(dependency) and [parameter.annotation for parameter in parameters] == [Request]


async def _itself(request: Request) -> Request:
    return request


def _from_path(name: str) -> Source:
    async def source(request: Request) -> str:
        return str(request.path_params[name])

    return source
