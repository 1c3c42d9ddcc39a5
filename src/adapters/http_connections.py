"""Connections of HTTP, each for one call at a time.

httpx's own pool gives the same idle connection to all who ask in one moment, and all but one of them then ask anew:
many calls at once cost a multiple of one. What breaks off in there may leave a connection neither used nor free, for
ever (encode/httpcore#1093). So each call has a transport with room for one connection to itself, and one that anything
went wrong with is thrown away.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import httpx

from ports.clock import Clock

IDLE_SECONDS: Final = 5.0  # that a connection is kept without a call

_LIMITS: Final = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS)


class _Idle(NamedTuple):
    origin: str
    transport: httpx.AsyncHTTPTransport
    since: float


class Connections:
    """At most ``most`` at once; who wants one more waits. ``tls`` says whose certificates to trust."""

    def __init__(self, clock: Clock, *, most: int, tls: ssl.SSLContext) -> None:
        self._clock = clock
        self._most = most
        self._tls = tls
        self._slots = asyncio.Semaphore(most)
        self._used = 0
        self._idle: list[_Idle] = []  # the one that was used last is the last

    @asynccontextmanager
    async def one(self, origin: str) -> AsyncIterator[httpx.AsyncHTTPTransport]:
        """A transport for this call alone, connected to ``origin`` already if there is such a one."""
        async with self._slots:
            self._used += 1
            try:
                transport = self._taken(origin) or httpx.AsyncHTTPTransport(
                    verify=self._tls, limits=_LIMITS, trust_env=False
                )
                try:
                    await self._close_some()
                    yield transport
                except BaseException:
                    await transport.aclose()
                    raise
                self._idle.append(_Idle(origin, transport, self._clock.monotonic()))
            finally:
                self._used -= 1

    async def close(self) -> None:
        """Close them all, once every call has ended."""
        while self._idle:
            await self._idle.pop().transport.aclose()

    def _taken(self, origin: str) -> httpx.AsyncHTTPTransport | None:
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place].origin == origin:
                return self._idle.pop(place).transport
        return None

    async def _close_some(self) -> None:
        """Close what is one too many, and what nobody has used for long."""
        while self._idle and (
            self._used + len(self._idle) > self._most or self._clock.monotonic() - self._idle[0].since > IDLE_SECONDS
        ):
            await self._idle.pop(0).transport.aclose()
