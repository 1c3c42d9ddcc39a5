"""How often each caller may ask: draft-ietf-httpapi-ratelimit-headers, and 429 (RFC 6585)."""

from starlette.types import ASGIApp, Receive, Scope, Send

from entrypoints.web.callers import Callers
from entrypoints.web.edge_options import PROBES
from entrypoints.web.errors import Problem, retry_after
from entrypoints.web.middleware import MORE_HEADERS
from ports.rate_limit import RateLimit


class RateLimits:
    """Counts each request but the probes' before anything is done for it, and says in each answer what is left."""

    def __init__(self, app: ASGIApp, *, limit: RateLimit, callers: Callers) -> None:
        self._app = app
        self._limit = limit
        self._callers = callers
        self._address_of = callers.address_of if callers.are_addresses else None
        self._policy = (b"ratelimit-policy", b'"caller";q=%d;w=%d' % (limit.count, limit.seconds))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        # Where nobody has a name there is nothing to wait for.
        name = self._address_of(scope) if self._address_of is not None else await self._callers.name_of(scope)
        wait, left, more = await self._limit.take(name)
        standing = (b"ratelimit", b'"caller";r=%d;t=%d' % (left, -(-more // 1)))  # whole seconds, rounded up
        scope[MORE_HEADERS] = (self._policy, standing)
        if not wait:
            await self._app(scope, receive, send)
            return
        times = "once" if self._limit.count == 1 else f"{self._limit.count:,} times"
        seconds = "a second" if self._limit.seconds == 1 else f"{self._limit.seconds:,} seconds"
        detail = f"A caller may ask {times} in {seconds}."
        problem = Problem("rate-limited", detail, headers=retry_after(wait))
        await problem.response(scope)(scope, receive, send)
