"""One Redis for whoever needs it in this process: a few connections, each command within a small bound."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import redis.exceptions
from redis.asyncio import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from adapters.reach import Reach, cut
from ports.clock import Clock
from ports.errors import PortError, Rejected, Unavailable

Answer = TypeVar("Answer")

# Every exception of redis-py has its row. Rejected: the server is there, and did not do what it was told.
ERRORS: Final[Mapping[type[Exception], type[PortError]]] = {
    redis.exceptions.RedisError: Unavailable,
    redis.exceptions.ConnectionError: Unavailable,
    redis.exceptions.TimeoutError: Unavailable,
    redis.exceptions.AuthenticationError: Unavailable,  # wrong for every command, so the server rests as well
    redis.exceptions.AuthenticationWrongNumberOfArgsError: Unavailable,
    redis.exceptions.AuthorizationError: Unavailable,
    redis.exceptions.ExternalAuthProviderError: Unavailable,
    redis.exceptions.BusyLoadingError: Unavailable,
    redis.exceptions.MaxConnectionsError: Unavailable,
    redis.exceptions.InvalidResponse: Unavailable,  # it is no Redis
    redis.exceptions.ResponseError: Rejected,
    redis.exceptions.OutOfMemoryError: Rejected,
    redis.exceptions.ReadOnlyError: Rejected,
    redis.exceptions.NoPermissionError: Rejected,
    redis.exceptions.NoScriptError: Rejected,
    redis.exceptions.ExecAbortError: Rejected,
    redis.exceptions.ModuleError: Rejected,
    redis.exceptions.NoSuchFieldsetError: Rejected,
    redis.exceptions.AskError: Rejected,
    redis.exceptions.MovedError: Rejected,
    redis.exceptions.TryAgainError: Rejected,
    redis.exceptions.ClusterCrossSlotError: Rejected,
    redis.exceptions.ClusterError: Rejected,
    redis.exceptions.ClusterDownError: Rejected,
    redis.exceptions.MasterDownError: Rejected,
    redis.exceptions.DataError: Rejected,
    redis.exceptions.PubSubError: Rejected,
    redis.exceptions.WatchError: Rejected,
    redis.exceptions.LockError: Rejected,
    redis.exceptions.LockNotOwnedError: Rejected,
    redis.exceptions.ChildDeadlockedError: Rejected,
    redis.exceptions.RedisClusterException: Rejected,
    redis.exceptions.SlotNotCoveredError: Rejected,
    redis.exceptions.CrossSlotTransactionError: Rejected,
    redis.exceptions.InvalidPipelineStack: Rejected,
    redis.exceptions.IncorrectPolicyType: Rejected,
    OSError: Unavailable,  # TLS, too
    EOFError: Unavailable,
    UnicodeError: Unavailable,  # a host name that is none
    ValueError: Unavailable,  # an answer that is no number where there has to be one: it is no Redis
}


WORDS: Final[Mapping[type[Exception], str]] = {
    redis.exceptions.RedisError: "it did not do what it was told",
    redis.exceptions.ConnectionError: "the connection broke",
    redis.exceptions.TimeoutError: "it did not answer in time",
    redis.exceptions.AuthenticationError: "it does not take our user and password",
    redis.exceptions.AuthorizationError: "it does not take our user and password",
    redis.exceptions.BusyLoadingError: "it is still loading its data",
    redis.exceptions.MaxConnectionsError: "it has too many clients",
    redis.exceptions.InvalidResponse: "what answers there is no Redis",
    redis.exceptions.OutOfMemoryError: "it has no memory left",
    redis.exceptions.ReadOnlyError: "it is a replica, which takes no writes",
    redis.exceptions.NoPermissionError: "our user has no right to it",
    redis.exceptions.MasterDownError: "it has lost the server that it is a replica of",
    redis.exceptions.MovedError: "it is one of a cluster, which is not supported",
    redis.exceptions.ClusterError: "it is one of a cluster, which is not supported",
    ValueError: "what answers there is no Redis",
}


class _Cut:
    """Ends a connection at once, see `cut`."""

    async def disconnect(
        self,
        nowait: bool = True,  # noqa: ARG002 - it never waits
        error: Exception | None = None,
        failure_count: int | None = None,
        health_check_failed: bool = False,
    ) -> None:
        writer = getattr(self, "_writer", None)
        if writer is not None:
            cut(writer)
        whole: Any = super()  # of what it is mixed into
        await whole.disconnect(True, error, failure_count, health_check_failed)


class _Plain(_Cut, Connection):
    pass


class _Secure(_Cut, SSLConnection):
    pass


class RedisLink:
    """One connection to Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open(self) -> None:
        await self._connection.connect()  # type: ignore[no-untyped-call]

    async def usable(self) -> bool:
        try:
            return self._connection.is_connected and not await self._connection.can_read()
        except redis.exceptions.ConnectionError:
            return False

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)

    async def say(self, *command: str | bytes | int, kind: type[Answer]) -> Answer | None:
        """The answer to one command, of the kind that Redis gives to it."""
        await self._connection.send_command(*command, check_health=False)
        try:
            answer = await self._connection.read_response(disable_decoding=True)
        except redis.exceptions.ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                return None  # somebody else has made a list of it, or the like: it holds nothing for us
            raise
        if not isinstance(answer, kind):
            raise redis.exceptions.InvalidResponse(f"{command[0]!r} is answered in another way")
        return answer


class RedisClient:
    """Speaks to one Redis. ``ca_file`` holds the certificates to trust instead of the system's."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        clock: Clock,
        username: str | None = None,
        password: str | None = None,
        database: int = 0,
        tls: bool = False,
        ca_file: Path | None = None,
        seconds: float = 0.25,
        rest_seconds: float = 1.0,
        connections: int = 16,
    ) -> None:
        self._options: dict[str, Any] = {
            "host": host,
            "port": port,
            "username": username,
            "password": password,
            "db": database,
            "protocol": 2,  # every Redis and what is like it
            "driver_info": None,
            "socket_timeout": None,  # the whole question has a deadline
            "socket_connect_timeout": None,
            "retry": Retry(NoBackoff(), 0),
        }
        self._tls = tls
        self._ca_file = ca_file
        self._trust: ssl.SSLContext | None = None
        self._reach = Reach(
            f"Redis at {host}:{port}",
            self._link,
            errors=ERRORS,
            words=WORDS,
            clock=clock,
            seconds=seconds,
            rest_seconds=rest_seconds,
            links=connections,
        )

    @property
    def trouble(self) -> str | None:
        """What is wrong with it; None while all is well."""
        return self._reach.trouble

    @property
    def pools(self) -> Mapping[str, tuple[int, int]]:
        """How many connections are used or waited for, and how many there may be."""
        return {"redis": self._reach.use}

    async def start(self) -> None:
        """Load the trusted certificates, and see how the server is. Returns soon also when it is away."""
        if self._tls:
            self._trust = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca_file)
        await self._reach.start(lambda link: link.say("PING", kind=bytes))

    async def stop(self) -> None:
        """Close the connections; what is being asked is cut off."""
        await self._reach.stop()

    async def say(self, *command: str | bytes | int, kind: type[Answer], what: str) -> Answer | None:
        """The answer to one command, None for a key that is of no use; ``what`` it is for, in a word."""
        return await self._reach.ask(lambda link: link.say(*command, kind=kind), what=what)

    def _link(self) -> RedisLink:
        if not self._tls:
            return RedisLink(_Plain(**self._options))
        connection = _Secure(**self._options)
        connection.ssl_context.context = self._trust  # loaded once, and not by the event loop
        return RedisLink(connection)
