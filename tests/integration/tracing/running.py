"""The service on real technologies: in this process, but for the workers of Celery."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

import httpx

from entrypoints.container import Container, build, migrate_database
from entrypoints.edge import edge_options
from entrypoints.roles import Role
from entrypoints.settings import Settings
from entrypoints.startup import pipeline, started
from entrypoints.testing import OPERATOR_TOKEN
from entrypoints.web.app import create_app
from prove.process import Process
from tests.contracts.tracing import TracedService, flushed
from tests.integration.mailer.smtp_server import SmtpServer, Stage, answers
from tests.stand_ins.collector import Collector, Span
from tools.services import addresses


class Running(TracedService):
    """What runs, and its mail server."""

    def __init__(self, container: Container, client: httpx.AsyncClient, collector: Collector, mail: SmtpServer) -> None:
        self.container = container
        self.client = client
        self.collector = collector
        self._mail = mail

    async def settled(self, trace_id: str, name: str, number: int = 1) -> Sequence[Span]:
        await asyncio.to_thread(self.collector.wait_for, number, trace_id=trace_id, name=name)
        await flushed(self.container)
        return self.collector.of_trace(trace_id)

    def spoil_next_mails(self) -> None:
        self._mail.next(Stage.MAIL, answers("451 later"))
        self._mail.next(Stage.RCPT, answers("550 no such mailbox"))


def settings_of(folder: Path, prefix: str, collector: Collector, mail: SmtpServer, **chosen: str) -> dict[str, str]:
    """The environment of each process: SQLite, and what is chosen."""
    return {
        "DATABASE_URL": f"sqlite:///{folder}/crossdock.db",
        "CROSSDOCK_TOPIC_PREFIX": prefix,
        "CROSSDOCK_PARTITIONS": "2",
        "KAFKA_BOOTSTRAP_SERVERS": addresses.KAFKA,
        "RABBITMQ_URL": addresses.RABBITMQ,
        "CELERY_RESULT_BACKEND": addresses.REDIS,
        "CROSSDOCK_MAILER": "smtp",
        "SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "CROSSDOCK_WEATHER": "sample",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        **chosen,
    }


@asynccontextmanager
async def serving(
    settings: dict[str, str], collector: Collector, mail: SmtpServer, *, delivering: bool = True
) -> AsyncIterator[Running]:
    """All roles in this process, but for what workers do; nothing is delivered unless it is told to."""
    chosen = Settings.load(settings, None)
    migrate_database(chosen)
    container = build(chosen)
    app = create_app(
        container, operator_token=OPERATOR_TOKEN, tracing=container.tracing(), edge=edge_options(container)
    )
    async with (
        started(container, Role.UP),
        pipeline(container, Role.UP) if delivering else nullcontext(),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://crossdock") as client,
    ):
        yield Running(container, client, collector, mail)


@contextmanager
def working(folder: Path, settings: dict[str, str]) -> Iterator[Process]:
    """A worker of Celery beside it."""
    migrate_database(Settings.load(settings, None))
    with Process(folder, "worker", "--concurrency", "1", settings=settings) as worker:
        yield worker
