"""The settings of what carries tasks."""

from typing import Annotated, Literal

from pydantic import AfterValidator, SecretStr

from entrypoints.settings_part import PEM, Authorities, Part
from entrypoints.settings_variables import Variable, server_url


def _celery_broker(value: SecretStr) -> SecretStr:
    server_url(value.get_secret_value(), "redis", "rediss", "amqp", "amqps")
    return value


_CELERY_FORMS = "redis://host:port/number, rediss://…, amqp://user:password@host:port/virtual-host, amqps://…"


class CeleryTaskQueue(Part):
    """Celery, with workers of its own."""

    backend: Literal["celery"] = "celery"
    broker_url: Annotated[
        SecretStr,
        Variable("CELERY_BROKER_URL", "what carries tasks to the workers", _CELERY_FORMS, sensitive=True),
        AfterValidator(_celery_broker),
    ] = SecretStr("redis://localhost:6379/0")
    result_backend: Annotated[
        SecretStr,
        Variable(
            "CELERY_RESULT_BACKEND",
            "where Celery would keep results; ours are in the database",
            "redis://host:port/number, rediss://…, or what else Celery knows",
            sensitive=True,
        ),
    ] = SecretStr("redis://localhost:6379/0")
    ca_file: Annotated[
        Authorities,
        Variable("CELERY_SSL_CAFILE", "who vouches for Celery's servers; without, the system's own list", PEM),
    ] = None


class BackgroundTaskQueue(Part):
    """FastAPI's BackgroundTasks, made durable."""

    backend: Literal["background"] = "background"


class MemoryTaskQueue(Part):
    """Performed when told to; for test suites."""

    backend: Literal["memory"] = "memory"
