"""What a client of each kind of server does to leave something there, and to find it again."""

import asyncio
import smtplib
from abc import ABC, abstractmethod
from typing import Final

import pytest
import redis
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.services import MailCatcher
from tools.services.greenmail import GreenMail
from tools.services.kafka import Kafka
from tools.services.memcached import Memcached
from tools.services.postgresql import PostgreSQL
from tools.services.probes import hears
from tools.services.rabbitmq import RabbitMQ
from tools.services.redis import Redis
from tools.services.server import Server

ANN: Final = "ann@example.com"


class Client(ABC):
    """Of a server, and good for one thing."""

    keeps: bool = True
    """Whether that outlives a kill."""

    @abstractmethod
    async def leave(self) -> None: ...

    @abstractmethod
    async def finds(self) -> bool: ...


class OfPostgreSQL(Client):
    def __init__(self, server: PostgreSQL) -> None:
        self._url = server.address.replace("postgresql:", "postgresql+asyncpg:")

    async def leave(self) -> None:
        await self._do("CREATE TABLE kept AS SELECT 42 AS number")

    async def finds(self) -> bool:
        return await self._do("SELECT number FROM kept") == 42

    async def _do(self, statement: str) -> object:
        async with create_async_engine(self._url, poolclass=NullPool).begin() as connection:
            result = await connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None


class OfKafka(Client):
    def __init__(self, server: Kafka) -> None:
        self._servers = server.address
        self._library = pytest.importorskip("aiokafka")
        self._admin = pytest.importorskip("aiokafka.admin")

    async def leave(self) -> None:
        admin = self._admin.AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        await admin.create_topics([self._admin.NewTopic("kept", 1, 1)])
        await admin.close()
        producer = self._library.AIOKafkaProducer(bootstrap_servers=self._servers, acks="all")
        await producer.start()
        await producer.send_and_wait("kept", b"42")
        await producer.stop()

    async def finds(self) -> bool:
        consumer = self._library.AIOKafkaConsumer(
            "kept", bootstrap_servers=self._servers, group_id=None, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            async with asyncio.timeout(30):
                found: bool = (await consumer.getone()).value == b"42"
        finally:
            await consumer.stop()
        return found


class OfRabbitMQ(Client):
    def __init__(self, server: RabbitMQ) -> None:
        self._library = pytest.importorskip("pika")
        self._where = self._library.URLParameters(server.address)
        self._server = server

    async def leave(self) -> None:
        with self._library.BlockingConnection(self._where) as connection:
            channel = connection.channel()
            channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
            self._server.settle()
            channel.confirm_delivery()
            channel.basic_publish("", "kept", b"42", self._library.BasicProperties(delivery_mode=2))

    async def finds(self) -> bool:
        with self._library.BlockingConnection(self._where) as connection:
            _, _, body = connection.channel().basic_get("kept")  # and it is put back, because nobody acknowledges it
        return bool(body == b"42")


class OfRedis(Client):
    def __init__(self, server: Redis) -> None:
        self._url = server.address

    async def leave(self) -> None:
        with redis.Redis.from_url(self._url) as client:
            client.set("kept", "42")

    async def finds(self) -> bool:
        with redis.Redis.from_url(self._url) as client:
            return bool(client.get("kept") == b"42")


class OfMemcached(Client):
    keeps = False

    def __init__(self, server: Memcached) -> None:
        self._port = server.port

    async def leave(self) -> None:
        assert hears(self._port, b"set kept 0 0 2\r\n42\r\n", 6) == b"STORED"

    async def finds(self) -> bool:
        return hears(self._port, b"get kept\r\n", 5) == b"VALUE"


class OfGreenMail(Client):
    keeps = False

    def __init__(self, server: GreenMail) -> None:
        self._port = server.port
        self._mails = MailCatcher(server.address, server.mailbox)

    async def leave(self) -> None:
        with smtplib.SMTP("127.0.0.1", self._port) as client:
            client.sendmail("crossdock@example.com", ANN, "Subject: kept\r\n\r\n42\r\n")
        await self._mails.arrived(ANN, 1)

    async def finds(self) -> bool:
        return [mail["Subject"] for mail in self._mails.mails(ANN)] == ["kept"]


def client_of(server: Server) -> Client:
    """The client of a server, whatever its kind."""
    match server:
        case PostgreSQL():
            return OfPostgreSQL(server)
        case Kafka():
            return OfKafka(server)
        case RabbitMQ():
            return OfRabbitMQ(server)
        case Redis():
            return OfRedis(server)
        case Memcached():
            return OfMemcached(server)
        case GreenMail():
            return OfGreenMail(server)
    raise NotImplementedError(server.name)
