"""Caches on real servers, and servers that a test may take away."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar
from urllib.parse import urlsplit

from adapters.cache.memcached import MemcachedCache
from adapters.cache.redis import RedisCache
from adapters.clock import SystemClock
from adapters.redis_client import RedisClient
from ports.cache import Cache
from tools.services.server import Server


def a_client(url: str, *, seconds: float = 0.25, rest_seconds: float = 1.0) -> RedisClient:
    """Not started."""
    where = urlsplit(url)
    return RedisClient(
        host=where.hostname or "",
        port=where.port or 6379,
        username=where.username or None,
        password=where.password or None,
        database=int(where.path.strip("/") or 0),
        clock=SystemClock(),
        seconds=seconds,
        rest_seconds=rest_seconds,
    )


def a_prefix() -> str:
    """Of a test alone, since it shares its server with others."""
    return f"test-{secrets.token_hex(6)}:"


def on_redis(url: str, prefix: str = "", *, seconds: float = 0.25, rest_seconds: float = 1.0) -> RedisCache:
    """Not started."""
    return RedisCache(a_client(url, seconds=seconds, rest_seconds=rest_seconds), prefix=prefix or a_prefix())


def on_memcached(servers: str, prefix: str = "", *, seconds: float = 0.25, rest_seconds: float = 1.0) -> MemcachedCache:
    """Not started."""
    places = [(host, int(port)) for host, _, port in (server.rpartition(":") for server in servers.split(","))]
    return MemcachedCache(
        places, prefix=prefix or a_prefix(), clock=SystemClock(), seconds=seconds, rest_seconds=rest_seconds
    )


@asynccontextmanager
async def started(cache: Cache) -> AsyncIterator[Cache]:
    """From start to stop."""
    await cache.start()
    try:
        yield cache
    finally:
        await cache.stop()


class OnServer:
    """What the outage suites of caches want, with a private server."""

    frozen: ClassVar[bool] = False
    """Whether it is stopped in its tracks, so that it takes connections and answers nothing, instead of killed."""
    server: Server

    async def take_away(self, cache: Cache) -> None:  # noqa: ARG002 - the hook's
        await asyncio.to_thread(self.server.freeze if self.frozen else self.server.kill)

    async def bring_back(self, cache: Cache) -> None:  # noqa: ARG002 - the hook's
        await asyncio.to_thread(self.server.thaw if self.frozen else self.server.start)
