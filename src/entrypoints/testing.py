"""The whole service inside a test: real use cases, real delivery, memory adapters, and time in the test's hand.

    async with crossdock() as dock:
        answer = await dock.client.post("/register-user/", json={"email": "ann@example.com"})
        await dock.settle()
        assert [mail.subject for mail in dock.mails] == ["Welcome"]

No port, no thread, no sleep; it starts in milliseconds, and many run at once in one process.
"""

import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from domain.model.events import Event
from domain.model.tasks import TASK_TYPES, Task
from entrypoints.container import TOPICS, Container, build, manual_clock
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

        The call is named by the container's name of the port and its method; afterwards it works as before.
        """
        port, _, method = call.partition(".")
        adapter = getattr(self.container, port)()
        works = getattr(adapter, method)
        left = deque(errors)

        async def fails(*_: Any, **__: Any) -> Any:
            error = left.popleft()
            if not left:
                setattr(adapter, method, works)
            raise error

        setattr(adapter, method, fails)

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
        busy = False
        for step in (container.event_relay().step, container.task_relay().step, container.retry().step):
            try:
                busy |= await step()
            except Unavailable:
                continue
        busy |= await container.task_queue().perform_all() > 0
        if await container.event_broker().backlog(TOPICS, container.consumer_group()):
            batches = await subscription.receive(limit=100)
            for batch in batches:
                try:
                    await container.receive().handle(batch, first=False)
                except Unavailable:
                    return False  # not acknowledged: it comes again
            await subscription.acknowledge(batches)
            busy = True
        return busy

    async def _note_tasks(self, recorded: Sequence[Delivery]) -> None:
        for delivery in recorded:
            if delivery.lane is Lane.TASK and delivery.name in _TASKS and delivery.token == 1:
                data = json.loads(delivery.body)
                self.tasks.append(_TASKS[delivery.name].from_data(data, id=UUID(delivery.id)))


@asynccontextmanager
async def crossdock(**settings: str) -> AsyncIterator[Crossdock]:
    """The service on memory adapters; ``settings`` are environment variables to set besides.

    Override any provider of ``dock.container`` before the first request to bring an adapter or a use case of your own.
    """
    container = build(Settings.load(_IN_MEMORY | settings, None))
    clock = manual_clock()
    container.clock.override(clock)
    app = create_app(container, operator_token=OPERATOR_TOKEN)
    transport = httpx.ASGITransport(app=app)
    async with started(container), httpx.AsyncClient(transport=transport, base_url="http://crossdock") as client:
        yield Crossdock(container, app, client, clock)
