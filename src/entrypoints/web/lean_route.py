"""Routes that call their endpoint without FastAPI's dependency solver where nothing is left for it to solve."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.routing import request_response

from entrypoints.web.edge_options import PROBES
from entrypoints.web.reading import only_json, refuse_unless_json

# Give an endpoint one of its parameters: what the request has itself, and what is looked up.
Given = Callable[[Request], Any]
Asked = Callable[[Request], Awaitable[Any]]


class LeanRoute(APIRoute):
    """An APIRoute that costs what its endpoint costs.

    Solving the dependencies of a request costs more than all of the rest of a quick one, although ours only look things
    up in the container. When each parameter of an endpoint is the request, a text from the path or such a look-up, it
    is called with them at once; any other endpoint is served by FastAPI as always. The documents are the same. Whoever
    does not take JSON is refused first.
    """

    answer: Callable[[Request], Awaitable[Response]] | None  # None: FastAPI does it

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        sources = _sources_of(endpoint, set(self.param_convertors))
        self.answer = None
        if sources is not None and not self.dependencies:
            self.answer = _calling(endpoint, *sources, negotiated=path not in PROBES)
            self.app = request_response(self.answer)
        elif path not in PROBES:
            self.app = only_json(self.app)


def _calling(
    endpoint: Callable[..., Any], given: dict[str, Given], asked: dict[str, Asked], *, negotiated: bool
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if negotiated:
            refuse_unless_json(request.scope)
        arguments = {name: source(request) for name, source in given.items()}
        for name, look_up in asked.items():
            arguments[name] = await look_up(request)
        response: Response = await endpoint(**arguments)
        return response

    return answer


def _sources_of(endpoint: Callable[..., Any], in_path: set[str]) -> tuple[dict[str, Given], dict[str, Asked]] | None:
    """Where each parameter comes from; None when one has to be solved, or the answer to be made, by FastAPI."""
    hints = get_type_hints(endpoint, include_extras=True)
    if hints.get("return") is not Response or not inspect.iscoroutinefunction(endpoint):
        return None
    given: dict[str, Given] = {}
    asked: dict[str, Asked] = {}
    for name in inspect.signature(endpoint).parameters:
        kind, *marks = get_args(hints[name]) if get_origin(hints[name]) is Annotated else (hints[name],)
        if kind is Request and not marks:
            given[name] = _itself
        elif name in in_path and kind is str:
            given[name] = _from_path(name)
        elif (look_up := _looking_up(marks)) is not None:
            asked[name] = look_up
        else:
            return None
    return given, asked


def _looking_up(marks: Iterable[Any]) -> Asked | None:
    for mark in marks:
        if isinstance(mark, Depends) and mark.dependency is not None and _wants_only_the_request(mark.dependency):
            return mark.dependency
    return None


def _wants_only_the_request(dependency: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(dependency).parameters.values())
    return inspect.iscoroutinefunction(dependency) and [parameter.annotation for parameter in parameters] == [Request]


def _itself(request: Request) -> Request:
    return request


def _from_path(name: str) -> Given:
    return lambda request: str(request.path_params[name])
