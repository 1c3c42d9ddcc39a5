"""Reading over HTTP: which representation is wanted (RFC 9110 §12), and whether the caller has it already (§13)."""

import re
from collections import Counter
from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from entrypoints.web.errors import Complaint, Problem, invalid_request, pointer_to

_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_ZERO = re.compile(r"0(\.0{0,3})?")
_FITS = {"*/*": 1, "application/*": 2, "application/json": 3}  # what takes in JSON, and how closely it names it
_USUAL = frozenset({b"*/*", b"application/json"})


def tagged(request: Request, body: bytes) -> Response:
    """One resource as JSON, with an ETag of its content; 304 when the caller has just that.

    It stays ``no-store`` (see the edge): it is somebody's own, and no cache on the way or on a disk has any business
    with it. The tag is for callers that hold what they were told themselves, and ask whether it is still so.
    """
    tag = b'"%s"' % blake2b(body, digest_size=12).hexdigest().encode()
    headers = {"ETag": tag.decode()}
    for name, value in request.scope["headers"]:
        if name == b"if-none-match" and (value.strip() == b"*" or tag in _TAG.findall(value)):
            return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def refuse_doubled(request: Request) -> None:
    """Raise a `Problem` for a query that says something twice: whoever stands before us may have read the other one."""
    times = Counter(name for name, _ in request.query_params.multi_items())
    if doubled := [name for name, number in times.items() if number > 1]:
        raise invalid_request(Complaint(pointer_to(name), "This stands more than once.", "query") for name in doubled)


def only_json(app: ASGIApp) -> ASGIApp:
    """``app``, which answers with JSON, for those who take it; others get a 406 before anything is done for them."""

    async def negotiated(scope: Scope, receive: Receive, send: Send) -> None:
        refuse_unless_json(scope)
        await app(scope, receive, send)

    return negotiated


def refuse_unless_json(scope: Scope) -> None:
    """Raise a `Problem` for who sent this request and does not take JSON."""
    for name, value in scope["headers"]:
        if name == b"accept" and value not in _USUAL:
            accept = b",".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1")
            if not takes_json(accept):
                raise Problem("not-acceptable", "The answer is application/json, which the Accept header leaves out.")
            return


def takes_json(accept: str) -> bool:
    """Whether JSON is among what this header wants; one that wants nothing at all, or cannot be read, wants anything.

    Of several that fit the closest counts: ``application/json;q=0, */*`` wants anything else.
    """
    best, wanted, readable = 0, False, False
    for each in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in each.split(";"))
        readable |= "/" in kind
        fits = _FITS.get(kind, 0)
        if fits > best:
            quality = next((part[2:].strip() for part in parameters if part.startswith("q=")), "1")
            best, wanted = fits, not _ZERO.fullmatch(quality)
    return wanted or not readable
