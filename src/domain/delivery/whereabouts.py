"""Where something is: how far what was recorded about a subject has come, from what the database knows.

What is done has no row, so that a step is done is read from what came of it (an order is confirmed) and from there
being nothing left of it to do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.model.events import OrderConfirmed, OrderCreated, UserRegistered
from domain.model.order import Order
from domain.model.tasks import SendOrderConfirmation, SendWelcomeEmail
from domain.model.user import User
from ports.deliveries import Delivery, Lane, State
from ports.persistence import Persistence, Sought

ROWS_MOST = 100
_UUID_LENGTH = 36


class Progress(StrEnum):
    """How a step stands."""

    DONE = "done"
    WAITING = "waiting"  # its turn has not come yet, or somebody is at it
    FAILING = "failing"  # it is tried again
    DEAD = "dead"  # waits for a person
    DISCARDED = "discarded"  # given up by a person


@dataclass(frozen=True, slots=True, kw_only=True)
class WayStep:
    """One step on the way. ``delivery`` is the row that it was read from, when there is one."""

    what: str  # "publish", "handle" …
    name: str  # of the event, the task or the thing itself
    progress: Progress
    at: datetime | None = None  # when it was done, or since when it is as it is; None: not known
    detail: str = ""
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """The steps about a subject, in the order in which they come; none: nothing is known of it."""

    subject: str
    kind: str  # "order", "user", or "subject" when it is neither
    steps: Sequence[WayStep]
    more: bool = False  # of its rows than are shown


class Whereabouts:
    """Says where an order, a user, or any other subject is."""

    def __init__(self, persistence: Persistence, *, group: str) -> None:
        self._persistence = persistence
        self._group = group

    async def __call__(self, subject: str) -> Way:
        """How far it has come."""
        found = await self._persistence.ledger.of_subject(subject, limit=ROWS_MOST + 1)
        dead = await self._persistence.ledger.dead(after=0, limit=ROWS_MOST, sought=Sought(subject=subject))
        known = {row.id for row in found}
        older = [row for row in dead.items if row.subject == subject and row.id not in known]
        rows = sorted((*older, *found), key=lambda row: row.position)[:ROWS_MOST]
        kind, steps = await self._read(subject, rows)
        return Way(subject, kind, steps, more=len(found) + len(older) > ROWS_MOST)

    async def _read(self, subject: str, rows: Sequence[Delivery]) -> tuple[str, Sequence[WayStep]]:
        left = list(rows)
        id_ = _uuid(subject)
        order = None if id_ is None else await self._persistence.orders.get(id_)
        user = None if id_ is None or order is not None else await self._persistence.users.get(id_)
        steps: list[WayStep] = []
        if order is not None:
            steps += self._of_order(order, left)
        elif user is not None:
            steps += _of_user(user, left)
        steps += [step for row in left for step in _of_row(row)]
        return "order" if order else "user" if user else "subject", steps

    def _of_order(self, order: Order, left: list[Delivery]) -> Iterator[WayStep]:
        yield WayStep(what="record", name="order", progress=Progress.DONE, at=order.created_at)
        created = _taken(left, Lane.EVENT, OrderCreated.type)
        kept = _taken(left, Lane.RECEIVED, OrderCreated.type, self._group)
        yield _published(created, OrderCreated.type)
        if order.confirmed_at is not None:
            yield WayStep(what="handle", name=OrderCreated.type, progress=Progress.DONE, at=order.confirmed_at)
        elif kept is not None:
            yield from _of_row(kept)
        elif created is None or created.state is State.SENT:
            why = "the broker has it, the consumer has not brought it to its end"
            yield WayStep(
                what="handle",
                name=OrderCreated.type,
                progress=Progress.WAITING,
                at=None if created is None else created.sent_at,
                detail=why if created else "no row tells of it: it may have been discarded long ago",
            )
        if order.confirmed_at is None:
            return
        yield WayStep(what="confirm", name="order", progress=Progress.DONE, at=order.confirmed_at)
        yield _published(_taken(left, Lane.EVENT, OrderConfirmed.type), OrderConfirmed.type)
        yield _performed(_taken(left, Lane.TASK, SendOrderConfirmation.name), SendOrderConfirmation.name)


def _of_user(user: User, left: list[Delivery]) -> Iterator[WayStep]:
    yield WayStep(what="record", name="user", progress=Progress.DONE, at=user.registered_at)
    yield _published(_taken(left, Lane.EVENT, UserRegistered.type), UserRegistered.type)
    yield _performed(_taken(left, Lane.TASK, SendWelcomeEmail.name), SendWelcomeEmail.name)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == _UUID_LENGTH else None
    except ValueError:
        return None


def _taken(left: list[Delivery], lane: Lane, name: str, group: str = "") -> Delivery | None:
    """The first row of this kind, which is not among those that are left afterwards."""
    for row in left:
        if (row.lane, row.name, row.group) == (lane, name, group):
            left.remove(row)
            return row
    return None


def _published(row: Delivery | None, name: str) -> WayStep:
    if row is None:
        return WayStep(what="publish", name=name, progress=Progress.DONE, detail="the broker has confirmed it")
    return next(_of_row(row))


def _performed(row: Delivery | None, name: str) -> WayStep:
    if row is None:
        return WayStep(what="perform", name=name, progress=Progress.DONE, detail="nothing of it is left to do")
    return next(_of_row(row))


_WHAT = {Lane.EVENT: "publish", Lane.RECEIVED: "handle", Lane.TASK: "perform"}


def _of_row(row: Delivery) -> Iterator[WayStep]:
    what = _WHAT[row.lane]
    if row.lane is Lane.RECEIVED:
        yield WayStep(
            what="receive",
            name=row.name,
            progress=Progress.DONE,
            at=row.recorded_at,
            detail=f"by the group {row.group}",
        )
    match row.state:
        case State.SENT:
            progress, at, detail = Progress.DONE, row.sent_at, "the broker has confirmed it"
        case State.BLOCKED:
            progress, at, detail = Progress.WAITING, row.recorded_at, "behind a dead one of its subject"
        case State.DEAD:
            progress, at, detail = Progress.DEAD, row.last_failed_at, row.reason or ""
        case State.DISCARDED:
            progress, at, detail = Progress.DISCARDED, row.due_at, row.reason or ""
        case _:
            progress, at, detail = _ready(row)
    yield WayStep(what=what, name=row.name, progress=progress, at=at, detail=detail, delivery=row)


def _ready(row: Delivery) -> tuple[Progress, datetime | None, str]:
    if row.reason is not None:
        return Progress.FAILING, row.last_failed_at, row.reason
    if row.lane is Lane.EVENT:
        return Progress.WAITING, row.recorded_at, "the relay has not brought it to the broker yet"
    if row.lane is Lane.RECEIVED:
        return Progress.WAITING, row.recorded_at, "behind an earlier one of its subject"
    if row.is_handed_over:
        return Progress.WAITING, row.sent_at, "a queue has it"
    held = row.holder is not None and row.attempts > 0
    return Progress.WAITING, row.recorded_at, f"in the hands of {row.holder}" if held else "nobody has begun yet"
