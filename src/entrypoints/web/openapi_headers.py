"""The headers that answers have, for the OpenAPI document."""

from typing import Any

_SECONDS = {"type": "integer", "minimum": 0}

HEADERS: dict[str, dict[str, Any]] = {
    "Age": {"description": "Seconds since the provider was asked.", "required": True, "schema": _SECONDS},
    "Cache-Control": {
        "description": "Whether, and for how long, the answer may be kept: `no-store` unless it is for everybody.",
        "required": True,
        "schema": {"type": "string", "examples": ["no-store", "max-age=600"]},
    },
    "ETag": {
        "description": "The tag of just this content, for `If-None-Match`.",
        "required": True,
        "schema": {"type": "string", "examples": ['"5f0f6fd0f7c0fd2e8f2a2b1c"']},
    },
    "Idempotency-Replayed": {
        "description": "`true`: an earlier request with the same Idempotency-Key was given this answer.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Link": {
        "description": 'The next page, `rel="next"` (RFC 8288); missing on the last.',
        "schema": {"type": "string", "examples": ['</orders/?limit=20&cursor=bwGTe16P>; rel="next"']},
    },
    "Location": {
        "description": "Where it is.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "RateLimit": {
        "description": "Where requests are limited: how many more this caller may send now (`r`), and the seconds "
        "until the oldest of those that count does so no more (`t`); draft-ietf-httpapi-ratelimit-headers.",
        "schema": {"type": "string", "examples": ['"caller";r=99;t=1']},
    },
    "RateLimit-Policy": {
        "description": "Where requests are limited: how many a caller may send (`q`) in any so many seconds (`w`).",
        "schema": {"type": "string", "examples": ['"caller";q=100;w=1']},
    },
    "Retry-After": {
        "description": "Seconds to wait before the request is sent again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "What to authenticate with (RFC 6750).",
        "required": True,
        "schema": {"type": "string", "examples": ['Bearer realm="operator", error="invalid_token"']},
    },
    "X-Request-ID": {
        "description": "What the log calls this request: the id that the caller sent in this header, or a new one.",
        "required": True,
        "schema": {"type": "string", "maxLength": 128, "examples": ["5d0c3f7e-2b1a-4c8d-8e6f-9a7b5c3d1e2f"]},
    },
}

_ON_PROBLEMS = {
    "idempotency-key-in-use": ("Retry-After",),
    "identity-unavailable": ("Retry-After",),
    "insufficient-scope": ("WWW-Authenticate",),
    "invalid-token": ("WWW-Authenticate",),
    "overloaded": ("Retry-After",),
    "rate-limited": ("Retry-After",),
    "storage-unavailable": ("Retry-After",),
    "weather-unavailable": ("Retry-After",),
}


def header(name: str) -> dict[str, str]:
    """A reference to this header."""
    if name not in HEADERS:
        raise KeyError(name)
    return {"$ref": f"#/components/headers/{name}"}


def on_problem(code: str) -> tuple[str, ...]:
    """The headers that say more about a problem."""
    return _ON_PROBLEMS.get(code, ())
