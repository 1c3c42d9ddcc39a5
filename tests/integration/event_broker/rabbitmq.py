"""What the cases of RabbitMQ are written with: environments of their own, and a client that is not ours."""

import asyncio
import os
import secrets
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import amqp  # type: ignore[import-untyped]
import httpx

from adapters.clock import SystemClock
from adapters.event_broker.rabbitmq.broker import RabbitMqEventBroker
from adapters.event_broker.rabbitmq.subscription import RabbitMqSubscription
from adapters.persistence.memory import MemoryPersistence
from domain.delivery.shares import LeasedShares
from ports.event_broker import Subscription
from ports.message import Message
from ports.shares import Shares
from tests.builders import an_id
from tools.services.programs import newest
from tools.services.rabbitmq import RabbitMQ


class Environment:
    """Exchange and queues with a prefix of their own on one server, and one store of leases."""

    def __init__(self, url: str, management: str, *, partitions: int = 4) -> None:
        self.url = url
        self.prefix = f"test-{secrets.token_hex(4)}."
        self.exchange = f"{self.prefix}crossdock.events"
        self.partitions = partitions
        self.store = MemoryPersistence(SystemClock())
        self._management = management

    async def start(self) -> None:
        await self.store.start()

    def shares(self, group: str) -> Shares:
        return LeasedShares(
            self.store.leases, SystemClock(), role=f"group/{group}", member=str(an_id()), count=self.partitions
        )

    def broker(self, url: str = "", **options: Any) -> RabbitMqEventBroker:
        """An adapter as one process has it; those of one environment share its leases."""
        defaults: dict[str, Any] = {"prefix": self.prefix, "partitions": self.partitions, "shares": self.shares}
        return RabbitMqEventBroker(url or self.url, **(defaults | options))

    @asynccontextmanager
    async def started(self, url: str = "", **options: Any) -> AsyncIterator[RabbitMqEventBroker]:
        broker = self.broker(url, **options)
        await broker.start()
        try:
            yield broker
        finally:
            await broker.stop()

    def queues(self) -> list[dict[str, Any]]:
        """Those of this environment, as the management sees them."""
        with self._client() as client:
            answer = client.get("api/queues/%2F").raise_for_status()
        return [queue for queue in answer.json() if queue["name"].startswith(self.prefix)]

    def remove(self) -> None:
        with self._client() as client:
            for queue in self.queues():
                client.delete(f"api/queues/%2F/{quote(queue['name'], safe='')}")
            client.delete(f"api/exchanges/%2F/{quote(self.exchange, safe='')}")

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self._management, timeout=30) as client:
            yield client


class Other:
    """A client of another library, for one test: blocking, so it works in threads."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._lock = threading.Lock()
        self._connection: amqp.Connection | None = None

    def _channel(self) -> Any:
        if self._connection is None:
            self._connection = amqp.Connection(
                host=f"{self._url.hostname}:{self._url.port}",
                userid=self._url.username,
                password=self._url.password,
                confirm_publish=True,
                connect_timeout=10,
                read_timeout=10,
                write_timeout=10,
            )
            self._connection.connect()
        return self._connection.channel(1)

    async def do(self, act: Callable[[Any], Any]) -> Any:
        """Do something with a channel."""

        def locked() -> Any:
            with self._lock:
                return act(self._channel())

        return await asyncio.to_thread(locked)

    async def publish(self, exchange: str, routing_key: str, body: bytes, **properties: Any) -> None:
        await self.do(
            lambda channel: channel.basic_publish_confirm(
                amqp.Message(body, **properties), exchange=exchange, routing_key=routing_key, timeout=10
            )
        )

    async def close(self) -> None:
        def closed() -> None:
            with self._lock:
                if self._connection is not None:
                    self._connection.close()

        await asyncio.to_thread(closed)


@asynccontextmanager
async def audited(environment: Environment, topic: str) -> AsyncIterator[Callable[[], Awaitable[list[Message]]]]:
    """Every message of a topic from here on, read by another client from a queue of its own."""
    other = Other(environment.url)
    queue = f"{environment.prefix}audit.{an_id().hex}"
    seen: list[Message] = []

    def begin(channel: Any) -> None:
        channel.exchange_declare(environment.exchange, "topic", durable=True, auto_delete=False)
        channel.queue_declare(queue, durable=True, exclusive=False, auto_delete=False)
        channel.queue_bind(queue, environment.exchange, f"{topic}.*")

    def read(channel: Any) -> None:
        while (got := channel.basic_get(queue, no_ack=True)) is not None:
            seen.append(as_documented(topic, got))

    async def look() -> list[Message]:
        await other.do(read)
        return list(seen)

    await other.do(begin)
    try:
        yield look
    finally:
        await other.close()


async def vanish(member: Subscription) -> None:
    """Its connection breaks, and it gives nothing back."""
    assert isinstance(member, RabbitMqSubscription)
    running, member._running = member._running, None
    assert running is not None
    for partition in member._partitions:
        if partition.consumer is not None:
            partition.consumer._channel.pika.connection.abort()
    running.cancel()
    await asyncio.wait({running})


def control(server: RabbitMQ, *command: str) -> None:
    """Do what an operator of the server does."""
    script = newest("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmqctl")
    assert script is not None
    node = f"crossdock-{server.port}@localhost"
    subprocess.run(
        [script, "-n", node, *command],
        env={**os.environ, **server._environment()},
        check=True,
        capture_output=True,
        timeout=60,
    )


@contextmanager
def unanswering(server: RabbitMQ, queue: str) -> Iterator[None]:
    """A quorum queue that says nothing, like one without a leader; it is as it was afterwards."""
    _to_queue(server, queue, "sys:suspend(Name)")
    try:
        yield
    finally:
        _to_queue(server, queue, "sys:resume(Name)")


@contextmanager
def stopped(server: RabbitMQ, queue: str) -> Iterator[None]:
    """A quorum queue whose process is gone; it is there again afterwards."""
    _to_queue(server, queue, "ra:stop_server(quorum_queues, {Name, node()})")
    try:
        yield
    finally:
        _to_queue(server, queue, "ra:restart_server(quorum_queues, {Name, node()})")


def _to_queue(server: RabbitMQ, queue: str, act: str) -> None:
    found = f'{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>))'
    control(server, "eval", f"{found}, {{Name, _}} = amqqueue:get_pid(Queue), {act}.")


def as_documented(topic: str, got: amqp.Message) -> Message:
    """Read as the contract has it, by nothing of the adapter's."""
    attributes = {
        name.removeprefix("ce-"): str(value)
        for name, value in got.headers.items()
        if name.startswith("ce-") or name == "traceparent"
    }
    if "content_type" in got.properties:
        attributes["datacontenttype"] = got.properties["content_type"]
    assert got.properties["delivery_mode"] == 2
    body = got.body.encode() if isinstance(got.body, str) else bytes(got.body)
    return Message(topic=topic, attributes=attributes, body=body)
