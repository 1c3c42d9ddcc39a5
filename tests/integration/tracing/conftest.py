"""A collector and a mail server in this process, and a name of its own for each test on brokers that all share."""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.journeys.choices import remove_from_kafka, remove_from_rabbitmq
from tests.integration.mailer.smtp_server import SmtpServer
from tests.stand_ins.collector import Collector, collecting


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Is told at once: the SDK reads how often from the environment alone."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with collecting() as collector:
        yield collector


@pytest.fixture
async def mail() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return f"tracing-{secrets.token_hex(6)}-"


@pytest.fixture
async def on_kafka(kafka_servers: str, prefix: str) -> AsyncIterator[str]:  # noqa: ARG001 - it has to be there
    """The prefix; its topics are removed at the end."""
    yield prefix
    await remove_from_kafka(prefix)


@pytest.fixture
async def on_rabbitmq(rabbitmq_url: str, prefix: str) -> AsyncIterator[str]:  # noqa: ARG001 - it has to be there
    """The prefix; its queues and exchanges are removed at the end."""
    yield prefix
    await remove_from_rabbitmq(prefix)
