"""The whole service inside a test: real use cases, real delivery, memory adapters, and time in the test's hand.

    async with crossdock() as dock:
        answer = await dock.client.post("/register-user/", json={"email": "ann@example.com"})
        await dock.settle()
        assert [mail.subject for mail in dock.mails] == ["Welcome"]

No port, no thread, no sleep; it starts in milliseconds, and many run at once in one process.
"""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import structlog
from fastapi import APIRouter, FastAPI

from domain.model.events import Event
from domain.model.tasks import TASK_TYPES, Task
from entrypoints.container import TOPICS, Container, build, manual_clock
from entrypoints.edge import edge_options
from entrypoints.settings import Settings
from entrypoints.startup import started
from entrypoints.web.app import create_app
from ports.deliveries import Delivery, Lane
from ports.errors import Unavailable
from ports.mailer import Mail
from ports.message import read_event

if TYPE_CHECKING:
    from entrypoints.container import ManualClock

OPERATOR_TOKEN = "operator"  # noqa: S105 - of a service that nobody else can reach
_IN_MEMORY = {
    "DATABASE_URL": "memory://",
    "CROSSDOCK_EVENT_BROKER": "memory",
    "CROSSDOCK_TASK_QUEUE": "memory",
    "CROSSDOCK_CACHE": "memory",
    "CROSSDOCK_MAILER": "memory",
    "CROSSDOCK_WEATHER": "sample",
}
_TASKS = {task.name: task for task in TASK_TYPES}


class Crossdock:
    """The running service, a client of it, and what there is to look into."""

    def __init__(self, container: Container, app: FastAPI, client: httpx.AsyncClient, clock: "ManualClock") -> None:
        self.container = container
        self.app = app
        self.client = client
        self.clock = clock
        self.tasks: list[Task] = []
        self._failing: dict[str, deque[Exception]] = {}
        container.unit_of_work().listeners.append(self._note_tasks)

    @property
    def events(self) -> list[Event]:
        """The events that the broker has confirmed, oldest first."""
        return [event for message in self.container.event_broker().published if (event := read_event(message))]

    @property
    def mails(self) -> Sequence[Mail]:
        """The mails that were sent, oldest first."""
        return tuple(self.container.mailer().sent)

    async def dead_letters(self) -> Sequence[Delivery]:
        """What waits at the desk."""
        return (await self.container.dead_letters().page(limit=1_000)).items

    def fail_next(self, call: str, *errors: Exception) -> None:
        """Let the next calls of a port raise these, one each: ``fail_next("mailer.send", Unavailable("away"))``.

        The call is named by the container's name of the port and its method; afterwards it works as before. Said twice,
        the second errors come after the first.
        """
        if call in self._failing:
            self._failing[call].extend(errors)
            return
        port, _, method = call.partition(".")
        adapter = getattr(self.container, port)()
        works = getattr(adapter, method)
        left = self._failing[call] = deque(errors)

        async def fails_first(*arguments: Any, **named: Any) -> Any:
            if left:
                raise left.popleft()
            return await works(*arguments, **named)

        setattr(adapter, method, fails_first)

    async def settle(self) -> None:
        """Carry, receive and perform until nothing is due at this moment.

        What fails now and is tried again later waits for `clock` to move; what a port cannot do now is left for the
        next time.
        """
        container = self.container
        broker, group = container.event_broker(), container.consumer_group()
        await broker.declare(TOPICS, group)
        subscription = broker.subscribe(TOPICS, group)
        try:
            while await self._round(subscription):
                pass
        finally:
            await subscription.close()

    async def _round(self, subscription: Any) -> bool:
        container = self.container
        steps = (
            container.event_relay().step,
            container.task_relay().step,
            container.retry().step,
            self._perform,
            lambda: self._receive(subscription),
        )
        busy = False
        for step in steps:
            try:
                busy |= await step()
            except Unavailable:
                continue
        return busy

    async def _perform(self) -> bool:
        return bool(await self.container.task_queue().perform_all())

    async def _receive(self, subscription: Any) -> bool:
        if not await self.container.event_broker().backlog(TOPICS, self.container.consumer_group()):
            return False
        batches = await subscription.receive(limit=100)
        for batch in batches:
            await self.container.receive().handle(batch, first=False)
        await subscription.acknowledge(batches)
        return True

    async def _note_tasks(self, recorded: Sequence[Delivery]) -> None:
        for delivery in recorded:
            if delivery.lane is Lane.TASK and delivery.name in _TASKS and delivery.token == 1:
                data = json.loads(delivery.body)
                self.tasks.append(_TASKS[delivery.name].from_data(data, id=UUID(delivery.id)))


@asynccontextmanager
async def crossdock(
    *,
    configure: Callable[[Container], None] | None = None,
    routers: Sequence[APIRouter] = (),
    **settings: str,
) -> AsyncIterator[Crossdock]:
    """The service on memory adapters; ``settings`` are environment variables to set besides.

    ``configure`` is given the container before anything is built: override its providers with adapters and use cases of
    your own. ``routers`` are served beside the service's own routes.
    """
    if not structlog.is_configured():
        # To the standard library, where a test runner shows it when it matters, and not to the screen.
        structlog.configure(
            processors=[structlog.stdlib.render_to_log_kwargs],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
    container = build(Settings.load(_IN_MEMORY | settings, None))
    clock = manual_clock()
    container.clock.override(clock)
    if configure is not None:
        configure(container)
    app = create_app(
        container,
        operator_token=OPERATOR_TOKEN,
        weather_ttl=container.settings().weather.ttl,
        tracing=container.tracing(),
        edge=edge_options(container),
    )
    for router in routers:
        app.include_router(router)
    transport = httpx.ASGITransport(app=app)
    async with started(container), httpx.AsyncClient(transport=transport, base_url="http://crossdock") as client:
        yield Crossdock(container, app, client, clock)
