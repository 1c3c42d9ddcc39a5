"""The roles that a process can play, and which choices each of them can work with."""

from collections.abc import Iterator
from enum import StrEnum

from entrypoints.settings import Settings
from entrypoints.settings_sources import Problem, SettingsError


class Role(StrEnum):
    """What one process does."""

    UP = "up"  # everything
    API = "api"  # answers requests
    RELAY = "relay"  # carries what was recorded to the broker and to the task queue
    CONSUMER = "consumer"  # receives events and runs reactions
    WORKER = "worker"  # performs tasks that Celery brings

    @property
    def answers(self) -> bool:
        """Whether it answers requests."""
        return self in {Role.UP, Role.API}

    @property
    def relays(self) -> bool:
        """Whether it carries recorded events."""
        return self in {Role.UP, Role.RELAY}

    @property
    def consumes(self) -> bool:
        """Whether it receives events."""
        return self in {Role.UP, Role.CONSUMER}

    def performs(self, settings: Settings) -> bool:
        """Whether it performs tasks in the background: who records tasks also performs them."""
        return settings.task_queue.backend == "background" and self in {Role.UP, Role.API, Role.CONSUMER}

    def hands_over(self, settings: Settings) -> bool:
        """Whether it hands recorded tasks to the queue."""
        return self.relays if settings.task_queue.backend != "background" else self.performs(settings)


def check(role: Role, settings: Settings) -> None:
    """Raise `SettingsError` when ``role`` cannot do its work with these choices."""
    problems = list(_problems(role, settings))
    if problems:
        raise SettingsError(problems)


def _problems(role: Role, settings: Settings) -> Iterator[Problem]:
    database, broker, queue = (
        part.backend for part in (settings.persistence, settings.event_broker, settings.task_queue)
    )
    if role in {Role.API, Role.RELAY, Role.CONSUMER}:
        if database != "postgresql":
            why = (
                "ends with its process"
                if database == "memory"
                else "is a file of one machine, made for all roles in one process"
            )
            yield Problem(
                "DATABASE_URL",
                f"is {database}, which {why}; `crossdock {role}` shares its database with the other roles",
                "postgresql://user:password@host:port/name, or all roles in one process: `crossdock up`",
            )
        if broker == "memory":
            yield Problem(
                "CROSSDOCK_EVENT_BROKER",
                f"is memory, which lives inside one process: nothing of `crossdock {role}` would reach another",
                "kafka, rabbitmq, or all roles in one process: `crossdock up`",
            )
    if role is Role.WORKER and queue != "celery":
        yield Problem("CROSSDOCK_TASK_QUEUE", f"is {queue}: there is nothing for a Celery worker to do", "celery")
    elif queue == "celery" and database == "memory":
        yield Problem(
            "DATABASE_URL",
            "is memory, which a Celery worker cannot see into",
            "postgresql://user:password@host:port/name, or sqlite:///… on one machine",
        )
    if settings.mailer.backend == "memory" and role is not Role.UP:
        yield Problem("CROSSDOCK_MAILER", "is memory, which keeps mails for test suites and sends none", "log, smtp")
    if queue == "memory" and role not in {Role.UP, Role.WORKER}:
        yield Problem("CROSSDOCK_TASK_QUEUE", "is memory, which performs nothing by itself", "background, celery")
