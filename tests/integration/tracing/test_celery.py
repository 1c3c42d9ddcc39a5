"""One trace over the workers of Celery, which are processes of their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contracts.tracing import TracingContract
from tests.integration.mailer.smtp_server import SmtpServer
from tests.integration.tracing.running import Running, serving, settings_of, working
from tests.stand_ins.collector import Collector
from tools.services import addresses


class OnCelery:
    """What both have in common: a worker beside the service."""

    carrier = ""

    @pytest.fixture
    def settings(self, tmp_path: Path, prefix: str, collector: Collector, mail: SmtpServer) -> Iterator[dict[str, str]]:
        settings = settings_of(
            tmp_path, prefix, collector, mail, CROSSDOCK_TASK_QUEUE="celery", CELERY_BROKER_URL=self.carrier
        )
        with working(tmp_path, settings):
            yield settings

    @pytest.fixture
    async def service(self, settings: dict[str, str], collector: Collector, mail: SmtpServer) -> AsyncIterator[Running]:
        async with serving(settings, collector, mail) as running:
            yield running


@pytest.mark.usefixtures("redis_url")
class TestCeleryOnRedisTracing(OnCelery, TracingContract):
    carrier = addresses.REDIS


@pytest.mark.usefixtures("on_rabbitmq", "redis_url")
class TestCeleryOnRabbitMqTracing(OnCelery, TracingContract):
    carrier = addresses.RABBITMQ
