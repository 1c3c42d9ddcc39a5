"""What is read, in the words of the port; how, each engine knows."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Any
from uuid import UUID

from adapters.persistence.sql.loader import Loader
from adapters.persistence.sql.rows import Row, answer_of, delivery_of, from_micros, order_of, to_micros, user_of
from domain.model.order import Order
from domain.model.user import Owner, User
from ports.deliveries import Delivery, Lane, State, ordering_key
from ports.persistence import (
    ALL,
    SUBJECT_AMONG,
    Answer,
    Answers,
    DeskPage,
    Flow,
    LaneState,
    Ledger,
    Orders,
    Sought,
    Survey,
    Users,
)
from ports.shared_work import begin_shared

_LAST_ID = "g"  # sorts after every UUID


class Read(Enum):
    """A statement that reads, with the names of its parameters."""

    USERS = auto()  # ids
    ORDERS = auto()  # ids
    ORDERS_PAGE = auto()  # before, most
    ORDERS_PAGE_OF_USER = auto()  # before, most, of_user
    ORDERS_PAGE_OF_OWNER = auto()  # before, most, of_issuer, of_subject
    ANSWERS = auto()  # ids
    READY_EVENTS = auto()  # partitions, most, after
    SENT_EVENTS = auto()  # other_than, before, most
    FIRST_SENT = auto()
    DUE = auto()  # of_lane, group, now, handed_before, most
    HANDED_OVER = auto()
    DELIVERIES = auto()  # ids
    DEAD = auto()  # after, most, only_lane, in_name, in_subject, in_reason
    COUNT_DEAD = auto()  # only_lane, in_name, in_subject, in_reason
    OF_SUBJECT = auto()  # about, newest, most
    FLOW = auto()  # handled_since
    COUNTS = auto()
    DUE_SINCE = auto()
    IN_HAND = auto()  # group, of_topic, number
    LEASE_HOLDERS = auto()  # low, high, now


# How many deliveries stand where: each from the index that holds exactly these, and not from the table.
COUNTING = """
    SELECT 'event', 'ready', count(*) FROM deliveries WHERE lane = 'event' AND state = 'ready'
    UNION ALL
    SELECT lane, 'ready', count(*) FROM deliveries WHERE lane <> 'event' AND state = 'ready' GROUP BY lane
    UNION ALL
    SELECT 'event', 'sent', count(*) FROM deliveries WHERE state = 'sent'
    UNION ALL
    SELECT lane, state, count(*) FROM deliveries WHERE state IN ('dead', 'blocked') GROUP BY lane, state
    UNION ALL
    SELECT lane, state, count(*) FROM deliveries WHERE state = 'discarded' GROUP BY lane, state
"""

# Since when the first of each lane is due: each is the first entry of an index, however many wait.
DUE_SINCE_EACH = """
    SELECT
        (SELECT due_at FROM deliveries WHERE lane = 'event' AND state = 'ready' ORDER BY position LIMIT 1),
        (SELECT min(due_at) FROM deliveries WHERE lane <> 'event' AND state = 'ready' AND lane = 'task'),
        (SELECT min(due_at) FROM deliveries WHERE lane <> 'event' AND state = 'ready' AND lane = 'received')
"""

# Since when the first waits at a broker, how many were handled, and (from each engine) how many were ever recorded.
FLOWING = """
    SELECT
        (SELECT min(sent_at) FROM deliveries WHERE state = 'sent'),
        (SELECT count(*) FROM inbox WHERE seen_at >= :handled_since),
"""


class Engine(ABC):
    """What one engine does in its own way."""

    @abstractmethod
    async def rows(self, read: Read, **named: Any) -> Sequence[Row]:
        """What a statement answers; a list among the parameters is one parameter."""

    @abstractmethod
    async def survey(
        self, group: str, topic: str, subjects: Sequence[str], messages: Sequence[tuple[str, str]]
    ) -> tuple[frozenset[tuple[str, str]], Mapping[str, int], frozenset[str]]:
        """At one moment: the messages (source, id) that were seen, versions of lanes, and subjects that are kept."""

    @abstractmethod
    async def forget(self, before: int, limit: int) -> int:
        """Drop what is older, and say how much."""

    @abstractmethod
    async def forget_answers(self, before: int, limit: int) -> int:
        """Drop answers that are older, and say how many."""


class SqlUsers(Users):
    """Users in a table."""

    def __init__(self, engine: Engine) -> None:
        self._load = Loader(lambda ids: engine.rows(Read.USERS, ids=ids))

    async def get(self, id: UUID) -> User | None:
        row = await self._load(str(id))
        return None if row is None else user_of(row)


class SqlOrders(Orders):
    """Orders in a table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._load = Loader(lambda ids: engine.rows(Read.ORDERS, ids=ids))

    async def get(self, id: UUID) -> Order | None:
        row = await self._load(str(id))
        return None if row is None else order_of(row)

    async def page(self, *, user_id: UUID | None, before: UUID | None, limit: int) -> Sequence[Order]:
        first = _LAST_ID if before is None else str(before)
        if user_id is None:
            rows = await self._engine.rows(Read.ORDERS_PAGE, before=first, most=limit)
        else:
            rows = await self._engine.rows(Read.ORDERS_PAGE_OF_USER, before=first, most=limit, of_user=str(user_id))
        return [order_of(row) for row in rows]

    async def page_of_owner(self, owner: Owner, *, before: UUID | None, limit: int) -> Sequence[Order]:
        rows = await self._engine.rows(
            Read.ORDERS_PAGE_OF_OWNER,
            before=_LAST_ID if before is None else str(before),
            most=limit,
            of_issuer=owner.issuer,
            of_subject=owner.subject,
        )
        return [order_of(row) for row in rows]


class SqlAnswers(Answers):
    """Answers in a table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._load = Loader(lambda ids: engine.rows(Read.ANSWERS, ids=ids))

    async def get(self, id: str) -> Answer | None:
        row = await self._load(id)
        return None if row is None else answer_of(row)

    async def forget(self, *, before: datetime, limit: int) -> int:
        return await self._engine.forget_answers(to_micros(before), limit)


class SqlLedger(Ledger):
    """Deliveries in a table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._load = Loader(lambda ids: engine.rows(Read.DELIVERIES, ids=ids))
        self._counting: asyncio.Task[Mapping[tuple[Lane, State], int]] | None = None

    async def ready_events(self, *, partitions: Sequence[int], limit: int, after: int = 0) -> Sequence[Delivery]:
        return await self._deliveries(Read.READY_EVENTS, partitions=list(partitions), most=limit, after=after)

    async def sent_events(self, *, to_other_than: str, before: datetime | None, limit: int) -> Sequence[Delivery]:
        sent_before = None if before is None else to_micros(before)
        return await self._deliveries(Read.SENT_EVENTS, other_than=to_other_than, before=sent_before, most=limit)

    async def first_sent(self) -> Sequence[Delivery]:
        return await self._deliveries(Read.FIRST_SENT)

    async def due(
        self, lane: Lane, *, now: datetime, limit: int, group: str = "", handed_before: datetime | None = None
    ) -> Sequence[Delivery]:
        return await self._deliveries(
            Read.DUE,
            of_lane=lane.value,
            group=group,
            now=to_micros(now),
            handed_before=None if handed_before is None else to_micros(handed_before),
            most=limit,
        )

    async def handed_over(self) -> int:
        ((number,),) = await self._engine.rows(Read.HANDED_OVER)
        return int(number)

    async def get(self, id: str) -> Delivery | None:
        if not _can_be_stored(id):
            return None  # and asking would spoil the answer for others
        row = await self._load(id)
        return None if row is None else delivery_of(row)

    async def dead(self, *, after: int, limit: int, sought: Sought = ALL) -> DeskPage:
        if not all(map(_can_be_stored, sought.texts)):
            return DeskPage([], None)
        found = await self._deliveries(Read.DEAD, after=after, most=limit + 1, **_sought(sought))
        items = found[:limit]
        return DeskPage(items, items[-1].position if len(found) > limit else None)

    async def count_dead(self, sought: Sought) -> int:
        if not all(map(_can_be_stored, sought.texts)):
            return 0
        return sum(number for (number,) in await self._engine.rows(Read.COUNT_DEAD, **_sought(sought)))

    async def of_subject(self, subject: str, *, limit: int) -> Sequence[Delivery]:
        if not _can_be_stored(subject):
            return []
        return await self._deliveries(Read.OF_SUBJECT, about=subject, newest=SUBJECT_AMONG, most=limit)

    async def flow(self, *, handled_since: datetime) -> Flow:
        ((sent_since, handled, recorded),) = await self._engine.rows(Read.FLOW, handled_since=to_micros(handled_since))
        return Flow(None if sent_since is None else from_micros(sent_since), recorded or 0, handled)

    async def counts(self) -> Mapping[tuple[Lane, State], int]:
        # Messages that are parked in one go ask one by one, and counting is not for nothing.
        if self._counting is None:
            self._counting = begin_shared(self._count())
        return await asyncio.shield(self._counting)

    async def _count(self) -> Mapping[tuple[Lane, State], int]:
        self._counting = None  # a turn has passed: who asks from now on may know of more than this will see
        rows = await self._engine.rows(Read.COUNTS)
        return {(Lane(lane), State(state)): number for lane, state, number in rows if number}

    async def due_since(self) -> Mapping[Lane, datetime]:
        (row,) = await self._engine.rows(Read.DUE_SINCE)
        lanes = (Lane.EVENT, Lane.TASK, Lane.RECEIVED)
        return {lane: from_micros(micros) for lane, micros in zip(lanes, row, strict=True) if micros is not None}

    async def survey(self, group: str, topic: str, messages: Sequence[tuple[str | None, str, str]]) -> Survey:
        subjects = sorted({subject for subject, _, _ in messages if subject is not None})
        seen, versions, kept = await self._engine.survey(group, topic, subjects, [one[1:] for one in messages])
        return Survey(
            seen,
            {
                subject: LaneState(versions.get(subject, 0), subject in kept)
                for subject in subjects
                if subject in versions or subject in kept
            },
        )

    async def in_hand(self, group: str, topic: str, partition: int) -> Sequence[str]:
        rows = await self._engine.rows(Read.IN_HAND, group=group, of_topic=topic, number=partition)
        ids: list[str] = json.loads(rows[0][0]) if rows else []
        return ids

    async def forget(self, *, before: datetime, limit: int) -> int:
        return await self._engine.forget(to_micros(before), limit)

    async def _deliveries(self, read: Read, **named: Any) -> list[Delivery]:
        return [delivery_of(row) for row in await self._engine.rows(read, **named)]


def _can_be_stored(text: str) -> bool:
    """Whether anybody can have it in a text; with lone surrogates nobody can."""
    return text.isprintable() or text.encode("utf-8", "replace").decode() == text


def _sought(sought: Sought) -> dict[str, Any]:
    return {
        "only_lane": None if sought.lane is None else sought.lane.value,
        "in_name": sought.name,
        "in_subject": sought.subject,
        "in_reason": sought.reason,
    }


def lane_prefix(group: str, topic: str) -> str:
    """What the ordering keys of a group's lanes of one topic begin with; the subject follows."""
    return ordering_key(topic, "", group)
