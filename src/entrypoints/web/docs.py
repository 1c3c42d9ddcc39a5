"""The API documentation: Swagger UI, served whole from here."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from entrypoints.web.fields import to_json
from entrypoints.web.pages import CONTENT_SECURITY_POLICY, page
from ports.identity import OPERATOR, Identity, SignIn

router = APIRouter(include_in_schema=False)

# Swagger UI writes style attributes; scripts, and whatever they fetch, come from here alone.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API · Crossdock</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/swagger-ui.css">
</head>
<body>
<div id="docs">
<noscript>This page needs JavaScript; the document itself is <a href="/openapi.json">here</a>, and
the <a href="/docs/events">events</a> need none.</noscript>
</div>
<script src="/static/swagger-ui-bundle.js"></script>
<script src="/static/docs.js"></script>
</body>
</html>
"""


_SCOPES = {
    "openid": "say who signs in",
    "users:read": "look at the users one has registered",
    "users:write": "register users",
    "orders:read": "look at their orders",
    "orders:write": "place orders for them",
    "weather:read": "ask for the weather",
    OPERATOR: "everything, and the desk",
}


@dataclass(frozen=True, slots=True)
class DocsClient:
    """As what the page signs people in: a public client of the issuer, and the audience that it asks tokens for."""

    id: str
    audience: str


@router.get("/")
async def front_door() -> RedirectResponse:
    """Who comes without a path is shown what there is."""
    return RedirectResponse("/docs")


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Read the API and try it."""
    sign_in, policy = _sign_in(request), _POLICY
    if sign_in is not None:  # the page itself trades the code for a token
        parts = urlsplit(sign_in.token_url)
        policy = policy.replace("connect-src 'self'", f"connect-src 'self' {parts.scheme}://{parts.netloc}")
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": policy})


@router.get("/docs/sign-in")
async def sign_in_options(request: Request) -> Response:
    """Where the page signs people in, if it can."""
    client: DocsClient | None = request.app.state.docs_client
    sign_in = _sign_in(request)
    if client is None or sign_in is None:
        return Response(to_json({"client_id": None}), media_type="application/json")
    document = {
        "client_id": client.id,
        "audience": client.audience,
        "authorization_url": sign_in.authorization_url,
        "token_url": sign_in.token_url,
        "scopes": _SCOPES,
        "wanted": [scope for scope in _SCOPES if scope == "openid" or scope in sign_in.scopes - {OPERATOR}],
    }
    return Response(to_json(document), media_type="application/json")


@router.get("/docs/signed-in")
async def signed_in() -> HTMLResponse:
    """Where the issuer sends people back to."""
    policy = f"{CONTENT_SECURITY_POLICY}; script-src 'self'"
    body = '<p id="said">One moment.</p>\n<script src="/static/signed-in.js"></script>'
    return page("Signing in", body, headers={"Content-Security-Policy": policy})


def _sign_in(request: Request) -> SignIn | None:
    if request.app.state.docs_client is None or request.app.state.identity is None:
        return None
    identity: Identity = request.app.state.identity
    return identity.sign_in
