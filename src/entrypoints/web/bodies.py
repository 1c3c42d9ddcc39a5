"""Reading a JSON body: bounded, strict, and without a detour through Python objects."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import Request

from entrypoints.web.dependencies import container_of
from entrypoints.web.errors import Problem, complaint, invalid_request

BODY_MOST = 256 * 1024  # bytes
BODY_SECONDS = 30.0  # from its headers to its end

WHOLE = "crossdock.whole"  # in the scope of a request whose body is there already: there is nothing to wait for

Model = TypeVar("Model", bound=BaseModel)


async def read_json(request: Request, model: type[Model]) -> Model:
    """The body of ``request`` as ``model``.

    Raises `Problem`: 400 for what is no JSON, 413 for too much of it, 415 for another type, 422 with every complaint
    of the model. FastAPI's own reading is passed by: it lets NaN, lone surrogates and doubled names through, and takes
    twice as long.
    """
    body = await _read(request)
    content_type = request.headers.get("content-type", "")
    if content_type != "application/json" and body and not _is_json(content_type):
        raise Problem(
            "unsupported-media-type",
            "The Content-Type must be application/json, in UTF-8.",
            headers={"Accept-Post": "application/json"},
        )
    if _is_coded(request):
        raise Problem(
            "unsupported-media-type",
            "The Content-Encoding says that the body is coded: send it as it is, without one.",
            headers={"Accept-Encoding": "identity"},
        )
    try:
        value = model.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error, body) from None
    if not _names_are_unique(body):
        raise Problem("malformed-json", "A name stands twice in one JSON object.")
    return value


def content_too_large() -> Problem:
    """The refusal of a body; it ends the connection, so that the rest is not sent for nothing."""
    return Problem("content-too-large", f"A body has at most {BODY_MOST:,} bytes.", headers={"Connection": "close"})


async def _read(request: Request) -> bytes:
    if WHOLE in request.scope:
        body = await request.body()
        if len(body) > BODY_MOST:
            raise content_too_large()
        return body
    chunks: list[bytes] = []
    size = 0
    # Nothing is worked on before the body is there: many that dribble press nobody, and leave room for the others.
    pace = container_of(request).pace()
    pace.in_flight -= 1
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > BODY_MOST:
                    raise content_too_large()
                chunks.append(chunk)
    except TimeoutError:
        detail = f"The body did not come within {BODY_SECONDS:g} seconds."
        raise Problem("request-timeout", detail, headers={"Connection": "close"}) from None
    finally:
        pace.in_flight += 1
    return b"".join(chunks)


def _is_json(content_type: str) -> bool:
    essence, _, parameters = content_type.lower().partition(";")
    kind, _, subtype = essence.strip().partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        return False
    charset = parameters.partition("charset=")[2].partition(";")[0].strip().strip('"')
    return charset in {"", "utf-8", "utf8"}


def _is_coded(request: Request) -> bool:
    given = ",".join(request.headers.getlist("content-encoding"))
    return any(coding.strip().lower() not in {"", "identity"} for coding in given.split(","))


def _refusal(error: ValidationError, body: bytes) -> Problem:
    errors = error.errors(include_url=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return Problem("malformed-json", errors[0]["msg"] + ".")
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError:  # NaN and Infinity, which the model reads as numbers and JSON does not know
        return Problem("malformed-json", "JSON has no NaN and no Infinity.")
    return invalid_request(map(complaint, errors))


def _names_are_unique(body: bytes) -> bool:
    # Only what the model has accepted comes here, so it is shallow and well-formed.
    try:
        _decode(body.decode())
    except _DoubledNameError:
        return False
    return True


class _DoubledNameError(Exception):
    pass


def _unique(pairs: Iterable[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise _DoubledNameError


_decode = json.JSONDecoder(object_pairs_hook=_unique).decode
