"""How this process reaches Kafka: servers, security, and clients that are thrown away when they fail."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from os import PathLike
from typing import Any, Final, Generic, TypeVar

import aiokafka.client  # type: ignore[import-untyped]
from aiokafka import AIOKafkaClient
from aiokafka.conn import collect_hosts, create_conn  # type: ignore[import-untyped]
from aiokafka.errors import KafkaConnectionError  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

from adapters.event_broker.kafka.connections import close_connections, note_connections
from adapters.event_broker.kafka.errors import kafka_errors
from ports.errors import Unavailable
from ports.shared_work import begin_shared

SECURITY_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

CLIENT_ID: Final = "crossdock"
RETRY_BACKOFF: Final = 0.2  # seconds between the retries that aiokafka makes by itself
REASON_SECONDS: Final = 2.0  # to find out why no server could be reached
MADE_SECONDS: Final = 2.0  # for what is being made when it is not wanted any more
LET_GO_SECONDS: Final = 30.0  # for what closes in the background

Client = TypeVar("Client")
File = str | PathLike[str]

# aiokafka's metadata requests let a broker make the topics that they ask about, with its own number of partitions, and
# no setting of its clients says otherwise: a topic that is deleted while in use would come back wrong within
# milliseconds. Topics are made by `declare` alone.
aiokafka.client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)


class Access:
    """Where Kafka is, and who we are to it. Never shows the password."""

    def __init__(
        self,
        servers: Sequence[str],
        *,
        security_protocol: str,
        sasl_mechanism: str,
        username: str | None,
        password: str | None,
        ca_file: File | None,
        certificate_file: File | None,
        key_file: File | None,
    ) -> None:
        if security_protocol not in SECURITY_PROTOCOLS:
            raise ValueError(f"security_protocol is one of {', '.join(SECURITY_PROTOCOLS)}")
        if security_protocol.startswith("SASL") and (
            sasl_mechanism not in SASL_MECHANISMS or not username or not password
        ):
            raise ValueError(f"SASL wants a username, a password and one of {', '.join(SASL_MECHANISMS)}")
        self.servers = ", ".join(servers)
        tls = _tls(ca_file, certificate_file, key_file) if security_protocol.endswith("SSL") else None
        self._security: dict[str, Any] = {
            "security_protocol": security_protocol,
            "sasl_mechanism": sasl_mechanism,
            "sasl_plain_username": username,
            "sasl_plain_password": password,
            "ssl_context": tls,
        }
        self._servers = list(servers)

    def options(self, *, request_seconds: float) -> dict[str, Any]:
        """For any client of aiokafka."""
        return {
            "bootstrap_servers": self._servers,
            "client_id": CLIENT_ID,
            "request_timeout_ms": int(request_seconds * 1000),
            "retry_backoff_ms": int(RETRY_BACKOFF * 1000),
            **self._security,
        }

    async def raise_reason(self) -> None:
        """Raise what keeps us from each server; aiokafka says only that it could reach none."""
        for host, port, _ in collect_hosts(self._servers):
            async with kafka_errors(f"at {host}:{port}", seconds=REASON_SECONDS):
                connection = await create_conn(
                    host, port, client_id=CLIENT_ID, request_timeout_ms=int(REASON_SECONDS * 1000), **self._security
                )
                await connection.close()

    async def client(self, *, request_seconds: float) -> AIOKafkaClient:
        """A client that is connected."""
        client = AIOKafkaClient(**self.options(request_seconds=request_seconds))
        note_connections(client)
        try:
            await self.reached(client, client.bootstrap())
        except BaseException:
            await end_client(client)
            raise
        return client

    async def reached(self, client: AIOKafkaClient, starting: Awaitable[None]) -> None:
        """Wait until it has started; what it raises names the reason."""
        async with kafka_errors(f"at {self.servers}"):
            try:
                await starting
            except KafkaConnectionError:
                await self.raise_reason()
                raise
            # A server answers before it is part of its cluster, and aiokafka would not ask it again for minutes.
            if not client.cluster.brokers():
                raise Unavailable(f"Kafka at {self.servers} knows no broker of its cluster yet")


def abort(client: AIOKafkaClient) -> None:
    """Break its connections without sending what is left: to a server that does not read, closing would never end."""
    for connection in list(client._conns.values()):  # noqa: SLF001 - aiokafka can only close
        if (writer := connection._writer) is not None:  # noqa: SLF001
            writer.transport.abort()


async def end_client(client: AIOKafkaClient) -> None:
    """Close it at once."""
    abort(client)
    await client.close()
    close_connections(client)


def _tls(ca_file: File | None, certificate_file: File | None, key_file: File | None) -> ssl.SSLContext:
    """Raises `ValueError` for files that cannot be used, by their names."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"{ca_file} has no certificates that can be read: {error}") from error
    if certificate_file:
        try:
            context.load_cert_chain(certificate_file, key_file)
        except OSError as error:
            raise ValueError(f"{certificate_file} and its key cannot be used: {error}") from error
    return context


class Farewells:
    """Lets go in the background of what may take its time to close, within a bound."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def let_go(self, closing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._bounded(closing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, seconds: float) -> None:
        """Wait for all of them, and give up on those that take longer."""
        if tasks := set(self._tasks):
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=MADE_SECONDS)

    @staticmethod
    async def _bounded(closing: Coroutine[Any, Any, None]) -> None:
        # Whatever closing raises, nobody can do anything about it any more.
        with suppress(Exception):
            await asyncio.wait_for(closing, LET_GO_SECONDS)


class Kept(Generic[Client]):
    """A client that is made when it is first needed, and made anew after it was thrown away; never two at once."""

    def __init__(
        self,
        make: Callable[[], Coroutine[Any, Any, Client]],
        close: Callable[[Client], Coroutine[Any, Any, None]],
        farewells: Farewells,
    ) -> None:
        self._make = make
        self._close = close
        self._farewells = farewells
        self._making: asyncio.Task[Client] | None = None
        self._closed: asyncio.Future[None] | None = None

    def open(self) -> None:
        """From now on it may be made."""
        self._closed = asyncio.get_running_loop().create_future()

    async def get(self, *, seconds: float) -> Client:
        """The client; `Unavailable` when it is not there in time. It goes on being made meanwhile."""
        closed = self._closed
        if closed is None or closed.done():
            raise Unavailable("the connection to Kafka is not started")
        if self._making is None:
            self._making = begin_shared(self._make())
            self._making.add_done_callback(_look_at)
        making = self._making
        either: set[asyncio.Future[Any]] = {making, closed}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if closed.done():
            raise Unavailable("the connection to Kafka was closed")
        if not making.done():
            raise Unavailable(f"Kafka did not answer within {seconds:.1f} s")
        if making.exception() is not None and self._making is making:
            self._making = None  # the next call tries again
        return making.result()

    def throw_away(self, client: Client) -> None:
        """The next call makes another."""
        making = self._making
        if making is not None and making.done() and making.exception() is None and making.result() is client:
            self._making = None
            self._farewells.let_go(self._close(client))

    async def close(self) -> None:
        """Let go of it; until it is opened again there is none."""
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        making, self._making = self._making, None
        if making is not None:
            self._farewells.let_go(self._close_made(making))

    async def _close_made(self, making: "asyncio.Task[Client]") -> None:
        # What is cancelled in the midst of its first questions takes longer to let go of than to finish.
        await asyncio.wait({making}, timeout=MADE_SECONDS)
        making.cancel()
        await asyncio.wait({making}, timeout=MADE_SECONDS)
        if not making.done():
            return
        if not making.cancelled() and making.exception() is None:
            await self._close(making.result())


def _look_at(task: asyncio.Task[Any]) -> None:
    """Nobody may be waiting for it any more; then its error is nobody's."""
    if not task.cancelled():
        task.exception()
