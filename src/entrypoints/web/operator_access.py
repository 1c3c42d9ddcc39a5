"""Who may act as the operator."""

import hmac
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import RedirectResponse

from entrypoints.web.errors import Problem
from entrypoints.web.problem_types import PROBLEM_TYPES
from entrypoints.web.security import bearer_token, let_in
from ports.identity import OPERATOR

COOKIE = "crossdock_operator"

# Declares the scheme in the OpenAPI document; the check is ours, because its refusals are problems.
_bearer = HTTPBearer(scheme_name="operatorToken", auto_error=False)


class OperatorAccess:
    """Knows the operator's token, and tells true from false in constant time.

    The cookie holds a value derived from the token: it says that the token was known, and it is not the token, should
    it ever turn up in a place where cookies are written down. Every worker derives the same one.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._cookie = hmac.new(self._token, b"crossdock operator cookie", sha256).hexdigest()

    def __repr__(self) -> str:
        return "OperatorAccess()"

    def is_token(self, text: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), self._token)

    def has_cookie(self, request: Request) -> bool:
        """Whether the request carries the cookie that the token was traded for."""
        given = request.cookies.get(COOKIE, "")
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._cookie.encode())

    def trade(self, request: Request, address: str) -> RedirectResponse:
        """Give the cookie and lead to ``address``, so that the token does not stay in the address bar."""
        response = RedirectResponse(address, 303)
        response.set_cookie(
            COOKIE,
            self._cookie,
            path="/operator",
            httponly=True,
            samesite="strict",
            secure=request.scope["scheme"] == "https",
        )
        return response


async def operator_access(request: Request) -> OperatorAccess:
    """The gate; without a token in the settings there is nothing behind it, and nothing is what a caller finds."""
    access: OperatorAccess | None = request.app.state.operator_access
    if access is None:
        raise Problem("not-found", PROBLEM_TYPES["not-found"].cause)
    return access


Access = Annotated[OperatorAccess, Depends(operator_access)]


async def as_operator(
    request: Request, access: Access, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Let the operator through: by the operator's token, by a token of the scope, or by the cookie.

    A change by cookie must come from our own page.
    """
    bearer_token(request)  # more than one is refused, whichever of them is good
    if bearer is not None:
        if access.is_token(bearer.credentials):
            return
        if request.app.state.identity is not None:
            await let_in(request.app.state.identity, request, OPERATOR, realm="operator")
            return
        challenge = 'Bearer realm="operator", error="invalid_token"'
    elif access.has_cookie(request):
        if request.method not in {"GET", "HEAD"} and not is_same_origin(request):
            raise Problem("cross-site-request", PROBLEM_TYPES["cross-site-request"].cause)
        return
    else:
        challenge = 'Bearer realm="operator"'
    raise Problem("invalid-token", "The operator's token is needed here.", headers={"WWW-Authenticate": challenge})


def is_same_origin(request: Request) -> bool:
    """Whether a browser says that our own page sent this; one that says nothing is not believed.

    ``Sec-Fetch-Site`` cannot be set by a page. Browsers without it send ``Origin`` with every POST; its scheme is not
    compared, since TLS may end before us.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    try:
        return bool(origin) and urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:
        return False
