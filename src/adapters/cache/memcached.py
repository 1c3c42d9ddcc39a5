"""A cache in Memcached, on one server or on several.

Three commands of its text protocol are spoken here, since no client library that is kept does it safely on an event
loop: aiomcache, without a release since 2024, gives a connection whose caller was cancelled to the next one, who reads
the other's answer, and never comes back to the event loop from a server that ends while it stores or deletes.
"""

import asyncio
import hashlib
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from adapters.reach import Reach, cut
from ports.cache import KEY_MOST, VALUE_MOST, Cache, check_entry
from ports.clock import Clock
from ports.errors import PortError, Rejected, Unavailable

SERVER_KEY_MOST: Final = 250
SERVER_SECONDS_MOST: Final = 30 * 86400  # a larger number would be taken for a moment since 1970, and be long past

_OURS: Final = b"50384"  # the flags of each value: tells what we wrote from what somebody else did


class Refusal(Exception):
    """The server is there, and did not do what it was told."""


class Nonsense(Exception):
    """An answer that is none of Memcached's."""


ERRORS: Final[Mapping[type[Exception], type[PortError]]] = {
    Refusal: Rejected,
    Nonsense: Unavailable,
    OSError: Unavailable,
    EOFError: Unavailable,  # it has closed the connection, asyncio.IncompleteReadError too
    asyncio.LimitOverrunError: Unavailable,  # a line without end
    UnicodeError: Unavailable,  # a host name that is none
}
WORDS: Final[Mapping[type[Exception], str]] = {
    Refusal: "it did not do what it was told",
    Nonsense: "what answers there is no Memcached",
}


class MemcachedLink:
    """One connection to one server."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._in_step = True

    async def open(self) -> None:
        self._streams = await asyncio.open_connection(self._host, self._port)

    async def usable(self) -> bool:
        if self._streams is None or not self._in_step:
            return False
        reader, writer = self._streams
        return not (reader.at_eof() or writer.is_closing())

    async def close(self) -> None:
        if self._streams is not None:
            cut(self._streams[1])
            self._streams = None

    async def version(self) -> None:
        """See whether it is Memcached."""
        if not (await self._say(b"version\r\n")).startswith(b"VERSION "):
            raise Nonsense

    async def get(self, key: bytes) -> bytes | None:
        """What we have stored there."""
        line = await self._say(b"get %b\r\n" % key)
        if line == b"END\r\n":
            return None
        match line.split():
            case [b"VALUE", found, flags, length] if found == key and length.isdigit():
                if int(length) > VALUE_MOST:
                    self._in_step = False  # not ours, and not worth reading
                    return None
                value = await self._exactly(int(length) + 2 + len(b"END\r\n"))
                if not value.endswith(b"\r\nEND\r\n"):
                    raise Nonsense
                return value[: int(length)] if flags == _OURS else None
        raise _unexpected(line)

    async def set(self, key: bytes, value: bytes, seconds: int) -> None:
        """Store a value."""
        head = b"set %b %b %d %d\r\n" % (key, _OURS, seconds, len(value))
        line = await self._say(head + value + b"\r\n")
        if line != b"STORED\r\n":
            raise _unexpected(line)

    async def delete(self, key: bytes) -> None:
        """Store nothing."""
        line = await self._say(b"delete %b\r\n" % key)
        if line not in {b"DELETED\r\n", b"NOT_FOUND\r\n"}:
            raise _unexpected(line)

    async def _say(self, command: bytes) -> bytes:
        reader, writer = self._open
        writer.write(command)
        await writer.drain()
        return await reader.readuntil(b"\r\n")

    async def _exactly(self, length: int) -> bytes:
        return await self._open[0].readexactly(length)

    @property
    def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            raise ConnectionError
        return self._streams


def _unexpected(line: bytes) -> Exception:
    refused = line.startswith((b"SERVER_ERROR ", b"CLIENT_ERROR ", b"ERROR\r\n", b"NOT_STORED\r\n"))
    return Refusal() if refused else Nonsense()


class MemcachedCache(Cache):
    """Keeps entries under ``prefix``; each key has one server, and while that is away its keys are not remembered.

    Which server that is, all processes decide alike, in whatever order they were given the servers: of all servers the
    one whose digest together with the key is the largest (rendezvous hashing). When one is added or removed, only the
    keys that it gets or had change their place.
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        *,
        prefix: str,
        clock: Clock,
        seconds: float = 0.25,
        rest_seconds: float = 1.0,
        connections: int = 16,
    ) -> None:
        self._prefix = _fitting(prefix.encode("ascii"))
        self._servers = {
            f"{host}:{port}".encode(): Reach(
                f"Memcached at {host}:{port}",
                partial(MemcachedLink, host, port),
                errors=ERRORS,
                words=WORDS,
                clock=clock,
                seconds=seconds,
                rest_seconds=rest_seconds,
                links=connections,
            )
            for host, port in servers
        }

    @property
    def trouble(self) -> str | None:
        troubles = [server.trouble for server in self._servers.values() if server.trouble]
        return "; ".join(troubles) or None

    @property
    def pools(self) -> Mapping[str, tuple[int, int]]:
        """How many connections to all servers are used or waited for, and how many there may be."""
        uses = [server.use for server in self._servers.values()]
        return {"memcached": (sum(used for used, _ in uses), sum(most for _, most in uses))}

    async def start(self) -> None:
        await asyncio.gather(*(server.start(MemcachedLink.version) for server in self._servers.values()))

    async def stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers.values()))

    async def get(self, key: str) -> bytes | None:
        check_entry(key)
        whole = self._whole(key)
        try:
            return await self._server(whole).ask(lambda link: link.get(whole), what="read")
        except PortError:
            return None

    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        check_entry(key, value, seconds)
        whole = self._whole(key)
        lifetime = math.ceil(min(seconds, SERVER_SECONDS_MOST))  # its clock knows whole seconds
        with suppress(PortError):  # which is in `trouble`, and was logged
            await self._server(whole).ask(lambda link: link.set(whole, value, lifetime), what="write")

    async def drop(self, key: str) -> None:
        check_entry(key)
        whole = self._whole(key)
        with suppress(PortError):
            await self._server(whole).ask(lambda link: link.delete(whole), what="delete")

    def _whole(self, key: str) -> bytes:
        return self._prefix + key.encode("ascii")

    def _server(self, whole: bytes) -> Reach[MemcachedLink]:
        if len(self._servers) == 1:
            return next(iter(self._servers.values()))
        name = max(self._servers, key=lambda name: hashlib.blake2b(name + b" " + whole, digest_size=8).digest())
        return self._servers[name]


def _fitting(prefix: bytes) -> bytes:
    """A prefix that leaves room for the longest key: itself, or a digest of it."""
    if len(prefix) + KEY_MOST <= SERVER_KEY_MOST:
        return prefix
    return hashlib.blake2b(prefix, digest_size=20).hexdigest().encode() + b":"
