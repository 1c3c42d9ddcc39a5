"""State, events and tasks, recorded in one transaction."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from domain.model.errors import EmailAlreadyRegistered, UnknownUser
from domain.model.events import Event
from domain.model.order import Order
from domain.model.tasks import Task
from domain.model.user import Owner, User
from ports.clock import Clock
from ports.compact_json import compact_json
from ports.crash_points import CrashPoint, reached
from ports.deliveries import Delivery, Lane
from ports.delivery_counts import DeliveryCounts, Step
from ports.errors import Conflict, Precondition, Rejected
from ports.log_context import Handling
from ports.message import BODY_MOST, partition_of, write_event
from ports.persistence import (
    ANSWER_MOST,
    AddOrder,
    AddUser,
    Answer,
    KeepAnswer,
    Persistence,
    Record,
    SaveOrder,
    Traffic,
    UnitOfWork,
    WritableOrders,
    WritableUsers,
    Write,
)
from ports.trace_context import carried

log = logging.getLogger("crossdock.delivery")

CLAIM_SECONDS = 15.0

_REFUSALS = {Precondition.EMAIL_IS_NEW: EmailAlreadyRegistered, Precondition.USER_EXISTS: UnknownUser}

Listener = Callable[[Sequence[Delivery]], Awaitable[None]]


async def tell(listeners: Sequence[Listener], changed: Sequence[Delivery]) -> None:
    """Let listeners know what has just been committed; who is not told finds it by looking, a little later."""
    for listener in listeners:
        try:
            await listener(changed)
        except Exception:  # the commit stands: nobody may be answered that it does not
            log.exception("a listener failed")


class Recording:
    """Opens units of work and tells whoever listens what they recorded.

    ``performs_as`` names this process when it performs the tasks that it records: such a task is born claimed, so that
    nobody else takes it while it waits here. None: the relay carries tasks to a queue.
    """

    def __init__(
        self,
        persistence: Persistence,
        clock: Clock,
        *,
        partitions: int,
        performs_as: str | None,
        counts: DeliveryCounts | None = None,
    ) -> None:
        self.persistence = persistence
        self.clock = clock
        self.counts = counts or DeliveryCounts()
        self.listeners: list[Listener] = []
        self._partitions = partitions
        self._performs_as = performs_as

    def __call__(self, traffic: Traffic = Traffic.REQUEST) -> "RecordingUnitOfWork":
        return RecordingUnitOfWork(self, traffic)

    async def tell(self, recorded: Sequence[Delivery]) -> None:
        """Let listeners know what has just been committed."""
        await tell(self.listeners, recorded)

    def event(self, event: Event) -> Delivery:
        """The delivery that publishes this event."""
        message = write_event(event)
        if len(message.body) > BODY_MOST:
            raise Rejected(f"an event of {len(message.body):,} bytes is too large: brokers take {BODY_MOST:,}")
        now = self.clock.now()
        subject = message.attributes["subject"]
        return Delivery(
            id=message.attributes["id"],
            lane=Lane.EVENT,
            name=event.type,
            topic=event.topic,
            subject=subject,
            partition=partition_of(subject, self._partitions),
            attributes={**message.attributes, **carried()},
            body=message.body,
            recorded_at=now,
            due_at=now,
        )

    def task(self, task: Task) -> Delivery:
        """The delivery that performs this task."""
        now = self.clock.now()
        delivery = Delivery(
            id=str(task.id),
            lane=Lane.TASK,
            name=task.name,
            subject=task.subject,
            attributes=carried(),
            body=compact_json(task.data()).encode(),
            recorded_at=now,
            due_at=now,
        )
        return delivery if self._performs_as is None else delivery.born_claimed(self._performs_as, CLAIM_SECONDS)


class RecordingUnitOfWork(UnitOfWork):
    """Collects writes; the commit sends them at once."""

    def __init__(self, recording: Recording, traffic: Traffic) -> None:
        self._recording = recording
        self._traffic = traffic
        self._recorded: list[Delivery] = []
        self.writes: list[Write] = []
        self.users = _Users(recording.persistence, self.writes)
        self.orders = _Orders(recording.persistence, self.writes)

    def publish(self, event: Event) -> None:
        self._record(self._recording.event(event))

    def enqueue(self, task: Task) -> None:
        self._record(self._recording.task(task))

    def keep(self, answer: Answer) -> None:
        if len(answer.body) > ANSWER_MOST:
            raise Rejected(f"an answer of {len(answer.body):,} bytes is too large to be kept: at most {ANSWER_MOST:,}")
        self.writes.append(KeepAnswer(answer))

    async def commit(self) -> None:
        of_request = self._traffic is Traffic.REQUEST
        if of_request:
            reached(CrashPoint.API_BEFORE_COMMIT)
        try:
            await self._recording.persistence.commit(self.writes, traffic=self._traffic)
        except Conflict as conflict:
            refusal = _REFUSALS.get(conflict.precondition)
            if refusal is None:
                raise
            raise refusal from conflict
        if of_request:
            reached(CrashPoint.API_AFTER_COMMIT)
        if self._recorded:
            for delivery in self._recorded:
                self._recording.counts.count(Step.RECORDED, delivery)
            for delivery in self._recorded if log.isEnabledFor(logging.DEBUG) else ():
                with Handling(delivery.handled):
                    log.debug("%s %s %s is recorded", delivery.lane, delivery.name, delivery.id)
            await self._recording.tell(self._recorded)

    def _record(self, delivery: Delivery) -> None:
        self._recorded.append(delivery)
        self.writes.append(Record(delivery))


class _Users(WritableUsers):
    def __init__(self, persistence: Persistence, writes: list[Write]) -> None:
        self._persistence = persistence
        self._writes = writes

    async def get(self, id: UUID) -> User | None:
        return await self._persistence.users.get(id)

    def add(self, user: User) -> None:
        self._writes.append(AddUser(user))


class _Orders(WritableOrders):
    def __init__(self, persistence: Persistence, writes: list[Write]) -> None:
        self._persistence = persistence
        self._writes = writes

    async def get(self, id: UUID) -> Order | None:
        return await self._persistence.orders.get(id)

    async def page(self, *, user_id: UUID | None, before: UUID | None, limit: int) -> Sequence[Order]:
        return await self._persistence.orders.page(user_id=user_id, before=before, limit=limit)

    async def page_of_owner(self, owner: Owner, *, before: UUID | None, limit: int) -> Sequence[Order]:
        return await self._persistence.orders.page_of_owner(owner, before=before, limit=limit)

    def add(self, order: Order) -> None:
        self._writes.append(AddOrder(order))

    def save(self, order: Order) -> None:
        self._writes.append(SaveOrder(order))
