"""Servers of our own, on ports of their own: they are killed and wiped."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tools.services.kafka import Kafka
from tools.services.postgresql import PostgreSQL
from tools.services.rabbitmq import RabbitMQ
from tools.services.redis import Redis
from tools.services.server import Server

Kind = TypeVar("Kind", bound=Server)


@dataclass(frozen=True, slots=True)
class Servers:
    """One of each kind."""

    postgresql: PostgreSQL
    kafka: Kafka
    rabbitmq: RabbitMQ
    redis: Redis

    @property
    def all(self) -> tuple[Server, ...]:
        return (self.postgresql, self.kafka, self.rabbitmq, self.redis)


@contextmanager
def private() -> Iterator[Servers]:
    """All are started at the same time, and nothing is left of them."""
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        managers = [kind.private() for kind in (PostgreSQL, Kafka, RabbitMQ, Redis)]
        starting = [threads.submit(manager.__enter__) for manager in managers]
        for manager, one in zip(managers, starting, strict=True):
            if one.exception() is None:
                stack.push(manager)
        postgresql, kafka, rabbitmq, redis = (one.result() for one in starting)
        assert isinstance(postgresql, PostgreSQL)
        assert isinstance(kafka, Kafka)
        assert isinstance(rabbitmq, RabbitMQ)
        assert isinstance(redis, Redis)
        yield Servers(postgresql, kafka, rabbitmq, redis)


def wipe(server: Server) -> None:
    """Start it anew with nothing of what it had."""
    server.remove()
    server.start()
