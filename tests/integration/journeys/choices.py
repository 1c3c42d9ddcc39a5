"""What is chosen in one journey, and the settings and processes that follow from it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from prove.process import Process
from tests.services import need
from tools.services import addresses

GRACE_SECONDS = 10  # the default of CROSSDOCK_GRACE
PARTITIONS = 2  # so that little is to be made and removed on the brokers that all share


@dataclass(frozen=True, slots=True)
class Choice:
    """One backend for each port that has several."""

    database: str
    broker: str
    queue: str
    carrier: str = "redis"  # what carries Celery's messages

    def __str__(self) -> str:
        queue = f"celery on {self.carrier}" if self.queue == "celery" else self.queue
        return f"{self.database}, {self.broker}, {queue}"

    def need(self) -> None:
        """Go on when every server that it takes can be reached."""
        for name in {self.database, self.broker, self.carrier if self.queue == "celery" else self.queue, "greenmail"}:
            if name not in {"sqlite", "memory", "background"}:
                need(name)

    def settings(self, database_url: str, prefix: str) -> dict[str, str]:
        """The environment of each process of it."""
        return {
            "PORT": "0",
            "DATABASE_URL": database_url,
            "CROSSDOCK_EVENT_BROKER": self.broker,
            "CROSSDOCK_TASK_QUEUE": self.queue,
            "CROSSDOCK_TOPIC_PREFIX": prefix,
            "CROSSDOCK_PARTITIONS": str(PARTITIONS),
            "KAFKA_BOOTSTRAP_SERVERS": addresses.KAFKA,
            "RABBITMQ_URL": addresses.RABBITMQ,
            "CELERY_BROKER_URL": addresses.REDIS if self.carrier == "redis" else addresses.RABBITMQ,
            "CELERY_RESULT_BACKEND": addresses.REDIS,
            "CROSSDOCK_MAILER": "smtp",
            "SMTP_URL": addresses.SMTP,
            "MAIL_FROM": "shop@example.com",
            "CROSSDOCK_WEATHER": "sample",
            "CROSSDOCK_LOG_FORMAT": "json",
        }


@contextmanager
def playing(folder: Path, settings: dict[str, str], *commands: str) -> Iterator[list[Process]]:
    """These commands as processes, all started at the same time; killed at the end if they still live."""
    with ExitStack() as stack:
        roles = [
            Process(folder, *command.split(), name=f"{number} {command}", settings=settings)
            for number, command in enumerate(commands)
        ]
        for role in roles:
            stack.callback(role.close)
            role.spawn()
        for role in roles:
            role.wait_until_ready()
        yield roles


def end_all(roles: list[Process]) -> dict[str, int]:
    """SIGTERM to all at once; the exit code of each. Fails when one takes longer than its grace."""
    for role in roles:
        role.tell_to_end()
    return {role.name: role.process.wait(GRACE_SECONDS) for role in roles}


def logs(roles: list[Process]) -> str:
    """What each of them has said, for a failure to show."""
    return "\n".join(f"--- {role.name}\n{role.tail()}" for role in roles)


async def remove_from_kafka(prefix: str) -> None:
    """The topics of a journey."""
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses.KAFKA)
    await admin.start()
    try:
        if topics := [topic for topic in await admin.list_topics() if topic.startswith(prefix)]:
            await admin.delete_topics(topics)
    finally:
        await admin.close()


async def remove_from_rabbitmq(prefix: str) -> None:
    """The queues and exchanges of a journey."""
    async with httpx.AsyncClient(base_url=addresses.RABBITMQ_MANAGEMENT, timeout=30) as client:
        for kind in ("queues", "exchanges"):
            for thing in json.loads((await client.get(f"api/{kind}/%2F?columns=name")).content):
                if thing["name"].startswith(prefix):
                    await client.delete(f"api/{kind}/%2F/{thing['name']}")
