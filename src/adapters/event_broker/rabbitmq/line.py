"""A connection that is opened when it is needed, and again when it was lost."""

import asyncio
import copy
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pika import SSLOptions, URLParameters  # type: ignore[import-untyped]

from adapters.event_broker.rabbitmq.connection import Connection
from adapters.event_broker.rabbitmq.errors import translated
from ports.errors import Unavailable
from ports.shared_work import begin_shared

CONNECT_SECONDS = 10.0  # a slow link needs a second for each of several questions and answers
HEARTBEAT_SECONDS = 10
BLOCKED_SECONDS = 60.0
APART_SECONDS = 0.5  # between two attempts, at most: members that lost one server do not return in step


class Address:
    """Where a RabbitMQ is, and how it is spoken to. It holds a password and shows none."""

    def __init__(self, url: str, *, ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> None:
        self._is_secure = url.startswith("amqps:")
        self._ca_file = ca_file
        self._certificate_file = certificate_file
        self._key_file = key_file
        self._parameters = _parse(url)
        self._name = f"{self._parameters.host}:{self._parameters.port}"

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    @property
    def virtual_host(self) -> str:
        return str(self._parameters.virtual_host)

    async def connect(self, purpose: str) -> Connection:
        """A new connection, within a bound; ``purpose`` is shown by RabbitMQ's own tools."""
        with translated(f"connecting to {self._name}"):
            parameters = copy.copy(self._parameters)
            parameters.client_properties = {"connection_name": f"crossdock {purpose}"}
            if self._is_secure:
                # Read each time, off the loop: certificates are renewed while a service runs.
                parameters.ssl_options = SSLOptions(await asyncio.to_thread(self._tls), parameters.host)
            return await Connection.open(parameters, seconds=CONNECT_SECONDS)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file)
        if self._certificate_file is not None:
            context.load_cert_chain(self._certificate_file, self._key_file)
        return context


def _parse(url: str) -> Any:
    try:
        # As if without TLS: pika would read all the certificates of the system here.
        parameters = URLParameters(url.replace("amqps:", "amqp:", 1))
        if urlsplit(url).port is None and url.startswith("amqps:"):
            parameters.port = parameters.DEFAULT_SSL_PORT
    except Exception:  # whose text may hold a part of the password
        raise ValueError("the URL of RabbitMQ cannot be read") from None
    parameters.heartbeat = HEARTBEAT_SECONDS
    parameters.blocked_connection_timeout = BLOCKED_SECONDS
    parameters.socket_timeout = CONNECT_SECONDS
    parameters.stack_timeout = CONNECT_SECONDS
    return parameters


class Line:
    """Gives a live connection for one purpose; all who ask at once wait for the same attempt.

    ``prepare`` is done to each connection before anybody gets it.
    """

    def __init__(
        self, address: Address, purpose: str, prepare: Callable[[Connection], Awaitable[None]] | None = None
    ) -> None:
        self._address = address
        self._purpose = purpose
        self._prepare = prepare
        self._attempt: asyncio.Task[Connection] | None = None
        self._is_open = False
        self._was_tried = False

    def open(self) -> None:
        """Connections may be asked for from now on."""
        self._is_open = True

    async def close(self) -> None:
        """Close the connection, if any, within a bound; no more are given."""
        self._is_open = False
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        attempt.cancel()
        (connection,) = await asyncio.gather(attempt, return_exceptions=True)
        if isinstance(connection, Connection):
            await connection.close()

    async def connection(self, *, seconds: float) -> Connection:
        """The connection; `Unavailable` when there is none in so many seconds. The attempt goes on then."""
        if not self._is_open:
            raise Unavailable("the event broker is not started")
        if self._attempt is None or self._is_spent(self._attempt):
            self._attempt = begin_shared(self._connect())
            self._attempt.add_done_callback(lambda attempt: attempt.cancelled() or attempt.exception())
        attempt = self._attempt
        await asyncio.wait({attempt}, timeout=seconds)
        if not attempt.done():
            raise Unavailable(f"RabbitMQ at {self._address}: no connection within {seconds:g} s")
        if attempt.cancelled():
            raise Unavailable("the event broker is stopped")
        return attempt.result()

    async def _connect(self) -> Connection:
        if self._was_tried:
            await asyncio.sleep(random.uniform(0, APART_SECONDS))  # noqa: S311
        self._was_tried = True
        connection = await self._address.connect(self._purpose)
        try:
            if self._prepare is not None:
                await self._prepare(connection)
        except BaseException:
            connection.abort()
            raise
        return connection

    def _is_spent(self, attempt: asyncio.Task[Connection]) -> bool:
        if not attempt.done():
            return False
        return attempt.cancelled() or attempt.exception() is not None or not attempt.result().is_open
