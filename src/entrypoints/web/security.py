"""Who may do what over HTTP: bearer tokens (RFC 6750), where the settings ask for them."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from entrypoints.web.errors import Problem, retry_after, tell_once
from entrypoints.web.openapi import Protection
from entrypoints.web.problem_types import PROBLEM_TYPES
from ports.errors import Unavailable
from ports.identity import OPERATOR, Identity, InvalidToken, Principal

REALM: Final = "crossdock"
SCHEME: Final = "accessToken"  # in the OpenAPI document
_SCOPE: Final = "crossdock_scope"  # what a dependency asks for, for the document


Caller = Principal | None  # None: nobody has to say who is calling


def caller_who_may(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that lets those in who may do this, and gives who it is."""

    async def caller(request: Request) -> Caller:
        identity: Identity | None = request.app.state.identity
        return None if identity is None else await let_in(identity, request, scope)

    setattr(caller, _SCOPE, scope)
    return caller


UsersReader = Annotated[Caller, Depends(caller_who_may("users:read"))]
UsersWriter = Annotated[Caller, Depends(caller_who_may("users:write"))]
OrdersReader = Annotated[Caller, Depends(caller_who_may("orders:read"))]
OrdersWriter = Annotated[Caller, Depends(caller_who_may("orders:write"))]
WeatherReader = Annotated[Caller, Depends(caller_who_may("weather:read"))]


async def let_in(identity: Identity, request: Request, scope: str, *, realm: str = REALM) -> Principal:
    """Who sent this request, if that is somebody who may do this; else a `Problem`: 401, 403, or 503."""
    token = bearer_token(request)
    if token is None:  # RFC 6750 §3.1: whoever says nothing is told of no error
        raise refusal("A bearer token is needed here.", f'Bearer realm="{realm}"')
    try:
        principal = await identity.identify(token)
    except InvalidToken as error:
        description = f'error="invalid_token", error_description="{error}"'
        raise refusal(str(error), f'Bearer realm="{realm}", {description}') from None
    except Unavailable as error:
        tell_once(request, "tokens are not checked", error)
        headers = retry_after(error.retry_after)
        raise Problem("identity-unavailable", PROBLEM_TYPES["identity-unavailable"].cause, headers=headers) from error
    if not principal.may(scope):
        challenge = f'Bearer realm="{realm}", error="insufficient_scope", scope="{scope}"'
        detail = f"The token does not allow this: it lacks the scope {scope}."
        raise Problem("insufficient-scope", detail, headers={"WWW-Authenticate": challenge})
    return principal


def bearer_token(request: Request) -> str | None:
    """The token of the request; None when it has none. A `Problem` when it is not clear which."""
    found: list[bytes] = [value for name, value in request.scope["headers"] if name == b"authorization"]
    if not found:
        return None
    if len(found) > 1:
        challenge = f'Bearer realm="{REALM}", error="invalid_request"'
        raise refusal("There is more than one Authorization header.", challenge)
    scheme, _, token = found[0].partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


def refusal(detail: str, challenge: str) -> Problem:
    """A 401 that says what would be accepted."""
    return Problem("invalid-token", detail, headers={"WWW-Authenticate": challenge})


def protection(routes: Iterable[BaseRoute]) -> Protection:
    """What these routes want of a token, for the OpenAPI document."""
    operations = [route for route in routes if isinstance(route, APIRoute) and route.operation_id]
    return Protection(
        SCHEME,
        {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token for this API, with the scope that the operation names.",
        },
        {route.operation_id or "": [scope] for route in operations if (scope := _scope_of(route))},
        ("invalid-token", "insufficient-scope", "identity-unavailable"),
    )


def _scope_of(route: APIRoute) -> str | None:
    if "operator" in route.tags:
        return OPERATOR
    scopes = (getattr(dependency.call, _SCOPE, None) for dependency in route.dependant.dependencies)
    return next((scope for scope in scopes if scope), None)
