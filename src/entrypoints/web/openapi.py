"""The OpenAPI document: what FastAPI derives, and what our own reading of bodies and writing of problems adds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from entrypoints.web.edge_options import PROBES
from entrypoints.web.openapi_examples import EXAMPLES, problem_example
from entrypoints.web.openapi_headers import HEADERS, header, on_problem
from entrypoints.web.problem_types import PROBLEM_TYPES

_REF = "#/components/schemas/{model}"
_PROBLEM = "application/problem+json"

TAGS = [
    {"name": "users", "description": "Who may place orders."},
    {"name": "orders", "description": "Placed at once, confirmed a moment later."},
    {"name": "weather", "description": "From whichever provider is chosen."},
    {"name": "operations", "description": "For probes and monitors."},
    {"name": "operator", "description": "The desk of what could not be delivered. Wants the operator's token."},
]

_RATE_LIMIT = {name: header(name) for name in ("RateLimit", "RateLimit-Policy")}
_PROBLEM_SCHEMA = {"$ref": _REF.format(model="ProblemDocument")}

# What may become of any request, and of any that has a body.
_ALWAYS = ("malformed-request", "internal-error")
NEGOTIATED = frozenset({"users", "orders", "weather"})  # tags of the routes that look at Accept
BOUNDED = ("rate-limited", "overloaded")  # of all but probes
_WITH_BODY = ("malformed-json", "request-timeout", "content-too-large", "unsupported-media-type", "invalid-request")


# What such a route takes besides (``openapi_extra``).
IF_NONE_MATCH = {
    "parameters": [
        {
            "name": "If-None-Match",
            "in": "header",
            "description": "The `ETag` of what the caller has: 304 while it is still so.",
            "schema": {"type": "string", "examples": ['"5f0f6fd0f7c0fd2e8f2a2b1c"']},
        }
    ]
}


class ProblemError(TypedDict):
    """One thing that is wrong with a request: in its body, unless ``location`` says in which of its parameters."""

    pointer: str
    location: NotRequired[Literal["query", "path"]]
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


@dataclass(frozen=True, slots=True)
class Protection:
    """How callers say who they are: a security scheme, and the scopes that operations want, by their ids."""

    name: str
    scheme: Mapping[str, Any]
    scopes: Mapping[str, Sequence[str]]
    problems: Sequence[str] = ("invalid-token", "insufficient-scope", "identity-unavailable")


def request_body(model: type[BaseModel], *parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a route that reads its body with `read_json` says about it (``openapi_extra``), and of what else it reads.

    ``parameters`` are those that the route reads from the headers itself.
    """
    schema = {"$ref": _REF.format(model=model.__name__)}
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
    return {**body, "parameters": [dict(each) for each in parameters]} if parameters else body


def problems(*codes: str, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """The problems that a route is known for (``responses``), and that any other would be a problem as well.

    ``body``: also those of reading one with `read_json`.
    """
    by_status: dict[int | str, list[str]] = {}
    for code in dict.fromkeys((*codes, *(_WITH_BODY if body else ()), *_ALWAYS)):
        by_status.setdefault(PROBLEM_TYPES[code].status, []).append(code)
    responses = {status: _problem_response(sorted(by_status[status])) for status in sorted(by_status, key=str)}
    return {**responses, "default": {"description": "Any other problem"}}


def answered(
    what: str, *headers: str, status: int = 200, links: Mapping[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """A success with headers of its own, and with what can be asked next."""
    response: dict[str, Any] = {"description": what, "headers": {name: header(name) for name in headers}}
    return {status: {**response, "links": dict(links)} if links else response}


def tagged_answer(what: str) -> dict[int | str, dict[str, Any]]:
    """A success that `entrypoints.web.reading.tagged` gives, and the answer to those who have it already."""
    unchanged = {"description": "It is what `If-None-Match` says.", "headers": {"ETag": header("ETag")}}
    return {**answered(what, "ETag"), 304: unchanged}


def created(what: str, links: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """A 201 whose Location says where the new thing is, to a request that may have an Idempotency-Key."""
    return answered(what, "Location", "Idempotency-Replayed", status=201, links=links)


def link(what: str, operation: str, *, body: Mapping[str, Any] | None = None, **parameters: str) -> dict[str, Any]:
    """An operation that can be asked next; its parameters come from the answer, by JSON Pointers into its body."""
    values = {name: f"$response.body#{pointer}" for name, pointer in parameters.items()}
    given = {"parameters": values, "requestBody": body}
    return {"description": what, "operationId": operation, **{name: each for name, each in given.items() if each}}


def _problem_response(codes: Sequence[str]) -> dict[str, Any]:
    response = _problem_content(", ".join(f"`{code}`" for code in codes), codes)
    if headers := {name: header(name) for code in codes for name in on_problem(code)}:
        response["headers"] = headers
    return response


def _problem_content(description: str, codes: Sequence[str]) -> dict[str, Any]:
    content = {"schema": _PROBLEM_SCHEMA, "examples": {code: _example(code) for code in codes}}
    return {"description": description, "content": {_PROBLEM: content}}


def _example(code: str) -> dict[str, str]:
    return {"$ref": f"#/components/examples/{code}"}


def describe(app: FastAPI, *, bodies: Sequence[type[BaseModel]], protection: Protection | None = None) -> None:
    """Let ``app`` write its document once, on demand, with the models that FastAPI does not see."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=TAGS,
                servers=[{"url": "/", "description": "Where this document comes from."}],
                license_info={"name": "MIT", "identifier": "MIT"},
            )
            _add_components(document, bodies)
            for path, operation in _operations(document):
                if path not in PROBES:
                    _may_answer(operation, BOUNDED)
                if NEGOTIATED.intersection(operation["tags"]):
                    _may_answer(operation, ["not-acceptable"])
                _complete(operation)
                if protection is not None:
                    _protect(operation, protection)
            if protection is not None:
                document["components"].setdefault("securitySchemes", {})[protection.name] = dict(protection.scheme)
            document["components"]["examples"] = {code: _problem_example(code) for code in sorted(_named(document))}
            document["security"] = []  # what wants no credentials says so
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def _named(document: dict[str, Any]) -> set[str]:
    """The codes of all problems that have an example somewhere."""
    of_components = document["components"]["responses"].values()
    of_operations = (response for _, each in _operations(document) for response in each["responses"].values())
    contents = (response.get("content", {}).get(_PROBLEM, {}) for response in (*of_components, *of_operations))
    return {code for content in contents for code in content.get("examples", ())}


def _problem_example(code: str) -> dict[str, Any]:
    return {"summary": PROBLEM_TYPES[code].title, "value": problem_example(code)}


def _add_components(document: dict[str, Any], bodies: Sequence[type[BaseModel]]) -> None:
    _, unseen = TypeAdapter.json_schemas(
        [
            *((model.__name__, "validation", TypeAdapter(model)) for model in bodies),
            (ProblemDocument.__name__, "serialization", TypeAdapter(ProblemDocument)),
        ],
        ref_template=_REF,
    )
    components = document.setdefault("components", {})
    schemas = {**components.get("schemas", {}), **unseen["$defs"]}
    components["schemas"] = {
        name: {**schema, "examples": [EXAMPLES[name]]} if name in EXAMPLES else schema
        for name, schema in sorted(schemas.items())
    }
    components["responses"] = {
        "Problem": {**_problem_content("Any other problem", ["not-found"]), "headers": _everywhere()}
    }
    components["headers"] = HEADERS


def _complete(operation: dict[str, Any]) -> None:
    """Add what holds for every answer; take away that a parameter may be null, which no address can say."""
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _never_null(parameter["schema"])
    responses = operation["responses"]
    counted = _RATE_LIMIT if "429" in responses else {}
    for response in responses.values():
        response["headers"] = {**response.get("headers", {}), **_everywhere(), **counted}
    responses["default"] = {"$ref": "#/components/responses/Problem"}


def _everywhere() -> dict[str, Any]:
    return {name: header(name) for name in ("X-Request-ID", "Cache-Control")}


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {**kinds[0], **{word: said for word, said in schema.items() if word != "anyOf"}}


def _protect(operation: dict[str, Any], protection: Protection) -> None:
    """Ask for a token, beside what the operation takes already, and name the refusals."""
    scopes = protection.scopes.get(operation["operationId"])
    if scopes is None:
        return
    operation["security"] = [*operation.get("security", ()), {protection.name: list(scopes)}]
    _may_answer(operation, protection.problems)
    _complete(operation)


def _may_answer(operation: dict[str, Any], codes: Sequence[str]) -> None:
    """Name further problems."""
    responses = operation["responses"]
    for status, refusal in problems(*codes).items():
        known = responses.get(str(status))
        responses[str(status)] = refusal if known is None else _both(known, refusal)


def _both(known: dict[str, Any], refusal: dict[str, Any]) -> dict[str, Any]:
    """A response that names the problems of two."""
    if _PROBLEM not in refusal.get("content", {}):
        return known
    codes = {**known["content"][_PROBLEM]["examples"], **refusal["content"][_PROBLEM]["examples"]}
    headers = {**known.get("headers", {}), **refusal.get("headers", {})}
    return {**_problem_content(", ".join(f"`{code}`" for code in sorted(codes)), sorted(codes)), "headers": headers}
