"""The OpenAPI document: what FastAPI derives, and what our own reading of bodies and writing of problems adds."""

from collections.abc import Sequence
from typing import Any, NotRequired

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from entrypoints.web.problem_types import PROBLEM_TYPES

_REF = "#/components/schemas/{model}"

TAGS = [
    {"name": "users", "description": "Who may place orders."},
    {"name": "orders", "description": "Placed at once, confirmed a moment later."},
    {"name": "weather", "description": "From whichever provider is chosen."},
    {"name": "operations", "description": "For probes and monitors."},
    {"name": "operator", "description": "The desk of what could not be delivered. Wants the operator's token."},
]


class ProblemError(TypedDict):
    """One thing that is wrong with a request."""

    pointer: str
    detail: str


class ProblemDocument(TypedDict):
    """RFC 9457. ``errors`` is there with ``invalid-request``."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: NotRequired[list[ProblemError]]


class Page(TypedDict):
    """A page of a list; ``next_cursor`` asks for the next, null is the end."""

    next_cursor: str | None


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """What a route that reads its body with `read_json` says about it (``openapi_extra``)."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The problems that a route is known for (``responses``), and that any other would be a problem as well."""
    by_status: dict[int | str, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEM_TYPES[code].status, []).append(code)
    responses = {
        status: _problem_response(", ".join(f"`{code}`" for code in sorted(of))) for status, of in by_status.items()
    }
    return {**responses, "default": _problem_response("Any other problem")}


def created(what: str) -> dict[int | str, dict[str, Any]]:
    """A 201 whose Location says where the new thing is."""
    location = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
    return {201: {"description": what, "headers": location}}


def _problem_response(description: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=ProblemDocument.__name__)}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def describe(app: FastAPI, *, bodies: Sequence[type[BaseModel]]) -> None:
    """Let ``app`` write its document once, on demand, with the models that FastAPI does not see."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes, tags=TAGS
            )
            _, unseen = TypeAdapter.json_schemas(
                [
                    *((model.__name__, "validation", TypeAdapter(model)) for model in bodies),
                    (ProblemDocument.__name__, "serialization", TypeAdapter(ProblemDocument)),
                ],
                ref_template=_REF,
            )
            components = document.setdefault("components", {})
            schemas = {**components.get("schemas", {}), **unseen["$defs"]}
            components["schemas"] = dict(sorted(schemas.items()))
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
