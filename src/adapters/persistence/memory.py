"""Persistence that lives as long as its process: for a laptop and for test suites, with every promise of a real one.

Everything happens on one event loop and nothing is awaited between the check of a unit of work and its application, so
a unit is atomic without a lock.
"""

import asyncio
import heapq
import itertools
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, islice
from operator import contains, itemgetter
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID

from domain.model.email import Email
from domain.model.order import Order
from domain.model.user import Owner, User
from ports.clock import Clock
from ports.deliveries import Delivery, Lane, State
from ports.errors import Conflict, Precondition, Unavailable
from ports.persistence import (
    ALL,
    SUBJECT_AMONG,
    AddOrder,
    AddUser,
    Advance,
    Answer,
    Answers,
    Block,
    DeskPage,
    Flow,
    HoldLease,
    KeepAnswer,
    LaneState,
    Leases,
    Ledger,
    MarkSent,
    Orders,
    Persistence,
    Record,
    Remember,
    Remove,
    Replace,
    SaveOrder,
    Sought,
    Survey,
    TakeInHand,
    Traffic,
    Unblock,
    Users,
    Write,
)

Key = TypeVar("Key")

_IN_LINE = frozenset({State.READY, State.BLOCKED, State.DEAD})  # others of the ordering key wait behind these


class MemoryPersistence(Persistence):
    """Keeps everything in this process; another process sees none of it.

    May be opened again after `stop`, with what it had.
    """

    def __init__(self, clock: Clock) -> None:
        self._store = _Store(clock)
        self.users: Users = _Users(self._store)
        self.orders: Orders = _Orders(self._store)
        self.ledger: Ledger = _Ledger(self._store)
        self.leases: Leases = _Leases(self._store)
        self.answers: Answers = _Answers(self._store)

    async def start(self) -> None:
        self._store.is_open = True

    async def stop(self) -> None:
        self._store.is_open = False

    async def ping(self) -> None:
        self._store.opened()

    async def commit(
        self,
        writes: Sequence[Write],
        *,
        traffic: Traffic = Traffic.REQUEST,  # noqa: ARG002 - nothing waits here, so nobody can hold up another
        seconds: float = 4,
    ) -> None:
        store = self._store.opened()
        if seconds <= 0:
            raise Unavailable("the time for this commit had run out before it began")
        store.check(writes)
        store.apply(writes)
        # A store that never let go of the loop would starve it; nothing is lost when the caller is cancelled here.
        await asyncio.sleep(0)


# --- rows -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Lease:
    holder: str | None
    fence: int
    until: float  # on the monotonic scale


class _Store:
    """All rows, and whether they can be reached."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.is_open = False
        self.users: dict[UUID, User] = {}
        self.emails: set[Email] = set()
        self.orders: dict[int, Order] = {}  # by the number of the id, which sorts much faster than the id
        self.order_ids: list[int] = []
        self.order_ids_of: defaultdict[UUID, list[int]] = defaultdict(list)
        self.deliveries = _Deliveries()
        self.inbox: set[tuple[str, str, str]] = set()  # group, source, id
        self.inbox_by_age: list[tuple[datetime, tuple[str, str, str]]] = []
        self.lanes: dict[tuple[str, str, str], tuple[int, datetime]] = {}  # group, topic, subject: version, moved at
        self.in_hand: dict[tuple[str, str, int], tuple[str, ...]] = {}
        self.leases: dict[str, _Lease] = {}
        self.answers: dict[str, Answer] = {}
        self.answers_by_age: list[tuple[datetime, str]] = []

    def opened(self) -> "_Store":
        """The store itself, while it is open."""
        if not self.is_open:
            raise Unavailable("the in-memory persistence is not open")
        return self

    def check(self, unit: Sequence[Write]) -> None:
        """Raise `Conflict` unless every precondition of the unit holds."""
        answers = [write.answer.id for write in unit if isinstance(write, KeepAnswer)]
        if len(set(answers)) < len(answers) or not self.answers.keys().isdisjoint(answers):
            raise Conflict(Precondition.KEY_IS_NEW)
        new_users = [write.user for write in unit if isinstance(write, AddUser)]
        if len({user.email for user in new_users}) < len(new_users):
            raise Conflict(Precondition.EMAIL_IS_NEW)
        new_ids = {user.id for user in new_users}
        for write in unit:
            for holds, precondition in self._preconditions(write, new_ids):
                if not holds:
                    raise Conflict(precondition)

    def _preconditions(self, write: Write, new_users: set[UUID]) -> Iterator[tuple[bool, Precondition]]:
        match write:
            case AddUser(user):
                yield user.email not in self.emails, Precondition.EMAIL_IS_NEW
                yield user.id not in self.users, Precondition.VERSION_IS_CURRENT
            case AddOrder(order):
                yield order.user_id in self.users or order.user_id in new_users, Precondition.USER_EXISTS
                yield order.id.int not in self.orders, Precondition.VERSION_IS_CURRENT
            case SaveOrder(order):
                stored = self.orders.get(order.id.int)
                yield stored is not None and stored.version == order.version - 1, Precondition.VERSION_IS_CURRENT
            case Record(delivery):
                yield self.deliveries.get(delivery.id) is None, Precondition.TOKEN_IS_CURRENT
            case Replace(Delivery(id=id), token) | Remove(id, token) if token is not None:
                row = self.deliveries.get(id)
                yield row is not None and row.token == token, Precondition.TOKEN_IS_CURRENT
            case Remember(group, source, message_id):
                yield (group, source, message_id) not in self.inbox, Precondition.MESSAGE_IS_NEW
            case Advance(group, topic, subject, version):
                yield self.lane_version(group, topic, subject) == version, Precondition.LANE_IS_CURRENT
            case HoldLease(name, holder, fence):
                lease = self.held(name)
                yield (
                    lease is not None and (lease.holder, lease.fence) == (holder, fence),
                    Precondition.LEASE_IS_HELD,
                )

    def apply(self, unit: Sequence[Write]) -> None:
        """Write a unit that has been checked."""
        # Blocking looks at the rows as the rest of the unit leaves them, wherever in the unit it stands.
        for write in sorted(unit, key=lambda write: isinstance(write, Block | Unblock)):
            self._write(write)

    def _write(self, write: Write) -> None:
        match write:
            case KeepAnswer(answer):
                self.answers[answer.id] = answer
                insort(self.answers_by_age, (answer.at, answer.id))
            case AddUser(user):
                self.users[user.id] = user
                self.emails.add(user.email)
            case AddOrder(order):
                self.orders[order.id.int] = order
                insort(self.order_ids, order.id.int)
                insort(self.order_ids_of[order.user_id], order.id.int)
            case SaveOrder(order):
                self.orders[order.id.int] = order
            case Remember(group, source, message_id, at):
                self.inbox.add((group, source, message_id))
                insort(self.inbox_by_age, (at, (group, source, message_id)))
            case Advance(group, topic, subject, version, at):
                self.lanes[group, topic, subject] = (version + 1, at)
            case TakeInHand(group, topic, partition, message_ids):
                self.in_hand[group, topic, partition] = tuple(message_ids)
            case Record() | Replace() | MarkSent() | Remove() | Block() | Unblock():
                self._write_delivery(write)

    def _write_delivery(self, write: Record | Replace | MarkSent | Remove | Block | Unblock) -> None:
        match write:
            case Record(delivery):
                self.deliveries.record(delivery)
            case Replace(delivery):
                self.deliveries.replace(delivery)
            case MarkSent(id, to, at):
                if row := self.deliveries.get(id):
                    self.deliveries.replace(row.sent(to, at))
            case Remove(id):
                self.deliveries.remove(id)
            case Block(ordering_key):
                self.deliveries.block(ordering_key)
            case Unblock(ordering_key):
                self.deliveries.unblock(ordering_key)

    def lane_version(self, group: str, topic: str, subject: str) -> int:
        version, _ = self.lanes.get((group, topic, subject), (0, None))
        return version

    def held(self, name: str) -> _Lease | None:
        """The lease, while somebody holds it."""
        lease = self.leases.get(name)
        return lease if lease and lease.holder is not None and lease.until > self.clock.monotonic() else None


class _Deliveries:
    """The rows of the ledger, each also in the sorted lists that answer for its state.

    Whatever is ready, blocked or dead stands in the line of its ordering key, or in one of its own when it has none;
    who may go when its time comes is the head of a line, if that is ready.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[Lane, State]] = Counter()
        self.handed_over = 0  # tasks that a queue was given and nobody has claimed
        self._rows: dict[int, Delivery] = {}  # by position
        self._position_of: dict[str, int] = {}
        self.recorded = 0
        self._lines: defaultdict[str | int, list[int]] = defaultdict(list)
        self._heads: defaultdict[tuple[Lane, str], list[tuple[datetime, int]]] = defaultdict(list)  # lane, group
        self._ready_events: defaultdict[int, list[int]] = defaultdict(list)  # by partition
        self._due: defaultdict[Lane, list[tuple[datetime, int]]] = defaultdict(list)  # ready tasks, received messages
        self._sent: defaultdict[str | None, list[tuple[datetime, int]]] = defaultdict(list)  # by broker
        self._dead: list[int] = []
        self._discarded: list[tuple[datetime, int]] = []
        self._dead_in_line: Counter[str | int] = Counter()
        self._received_in: Counter[tuple[str, str, str | None]] = Counter()  # group, topic, subject

    # Reading

    def get(self, id: str) -> Delivery | None:
        position = self._position_of.get(id)
        return None if position is None else self._rows[position]

    def ready_events(self, partitions: Iterable[int], limit: int, after: int) -> list[Delivery]:
        lists = [self._ready_events[partition] for partition in set(partitions) if partition in self._ready_events]
        later = (islice(positions, bisect_right(positions, after), None) for positions in lists)
        return self._at(islice(heapq.merge(*later), limit))

    def sent_events(self, to_other_than: str, before: datetime | None, limit: int) -> list[Delivery]:
        elsewhere = chain.from_iterable(sent for to, sent in self._sent.items() if to != to_other_than)
        here = self._sent.get(to_other_than, [])
        long_ago = here[: bisect_left(here, (before, 0))] if before else []
        return self._at(heapq.nsmallest(limit, (position for _, position in chain(elsewhere, long_ago))))

    def first_sent(self) -> list[Delivery]:
        line = next((sent for sent in self._sent.values() if sent), [])
        return self._at(position for _, position in line[:1])

    def due(self, lane: Lane, group: str, now: datetime, limit: int, handed_before: datetime | None) -> list[Delivery]:
        heads = self._heads.get((lane, group), [])
        due = (self._rows[position] for _, position in islice(heads, bisect_right(heads, now, key=itemgetter(0))))
        if handed_before is not None:
            due = (row for row in due if not (row.is_handed_over and row.sent_at and row.sent_at > handed_before))
        return list(islice(due, limit))

    def due_since(self) -> dict[Lane, datetime]:
        since = {lane: due[0][0] for lane, due in self._due.items() if due}
        if events := [positions[0] for positions in self._ready_events.values() if positions]:
            since[Lane.EVENT] = self._rows[min(events)].due_at
        return since

    def dead(self, after: int, limit: int, sought: Sought) -> DeskPage:
        start = bisect_left(self._dead, after + 1)
        found = list(islice(self._sought(self._dead[start:], sought), limit + 1))
        items = found[:limit]
        return DeskPage(items, items[-1].position if items and len(found) > limit else None)

    def count_dead(self, sought: Sought) -> int:
        return sum(1 for _ in self._sought(self._dead, sought))

    def _sought(self, positions: Iterable[int], sought: Sought) -> Iterator[Delivery]:
        for row in self._at(positions):
            given = (row.name, row.subject or "", row.reason or "")
            if sought.lane in {None, row.lane} and all(map(contains, given, sought.texts)):
                yield row

    def of_subject(self, subject: str, limit: int) -> list[Delivery]:
        newest = sorted(self._rows)[-SUBJECT_AMONG:]
        return list(islice((row for row in self._at(newest) if row.subject == subject), limit))

    def sent_since(self) -> datetime | None:
        """When the first of what was sent was."""
        return min((sent[0][0] for sent in self._sent.values() if sent), default=None)

    def is_occupied(self, group: str, topic: str, subject: str) -> bool:
        """Whether received messages of this lane are kept and not given up."""
        return (group, topic, subject) in self._received_in

    def discarded(self, before: datetime, limit: int) -> list[str]:
        old = self._discarded[: min(limit, bisect_left(self._discarded, (before, 0)))]
        return [self._rows[position].id for _, position in old]

    # Writing

    def record(self, delivery: Delivery) -> None:
        state = delivery.state
        if state is State.READY and delivery.ordering_key in self._dead_in_line:
            state = State.BLOCKED
        self.recorded += 1
        self._put(replace(_frozen(delivery), state=state, position=self.recorded))

    def replace(self, delivery: Delivery) -> None:
        if row := self.get(delivery.id):
            self._put(replace(_frozen(delivery), position=row.position))

    def remove(self, id: str) -> None:
        row = self.get(id)
        if row is not None:
            self._change(row, None)

    def block(self, ordering_key: str) -> None:
        # From the end: a sorted list loses its last entry faster than its first.
        self._turn(reversed(self._lines.get(ordering_key, [])), State.READY, State.BLOCKED)

    def unblock(self, ordering_key: str) -> None:
        if ordering_key not in self._dead_in_line:
            self._turn(self._lines.get(ordering_key, []), State.BLOCKED, State.READY)

    def _turn(self, positions: Iterable[int], old: State, new: State) -> None:
        for row in self._at(positions):
            if row.state is old:
                self._put(replace(row, state=new, token=row.token + 1))

    def _put(self, row: Delivery) -> None:
        self._change(self._rows.get(row.position), row)

    def _change(self, old: Delivery | None, new: Delivery | None) -> None:
        """Change one row, and every list with it; None is a row that is not there."""
        row = new or old
        assert row is not None  # noqa: S101 - one of the two is there
        name = row.ordering_key or row.position
        line = self._lines[name]
        self._withdraw_head(line)
        if old is not None:
            self._take_off(old, name)
        if new is not None:
            self._put_on(new, name)
            self._rows[row.position] = new
            self._position_of[row.id] = row.position
        else:
            del self._rows[row.position], self._position_of[row.id]
        stood = old is not None and old.state in _IN_LINE
        stands = new is not None and new.state in _IN_LINE
        if stands and not stood:
            insort(line, row.position)
        elif stood and not stands:
            _delete(line, row.position)
        if line:
            self._present_head(line)
        else:
            del self._lines[name]

    def _withdraw_head(self, line: list[int]) -> None:
        if line and (head := self._rows[line[0]]).state is State.READY:
            _delete(self._heads[head.lane, head.group], (head.due_at, head.position))

    def _present_head(self, line: list[int]) -> None:
        if (head := self._rows[line[0]]).state is State.READY:
            insort(self._heads[head.lane, head.group], (head.due_at, head.position))

    def _put_on(self, row: Delivery, line: str | int) -> None:
        self._count(row, line, 1)
        if shelf := self._shelf(row):
            insort(*shelf)

    def _take_off(self, row: Delivery, line: str | int) -> None:
        self._count(row, line, -1)
        if shelf := self._shelf(row):
            _delete(*shelf)

    def _shelf(self, row: Delivery) -> tuple[list[Any], Any] | None:
        """The sorted list that answers for rows of this state, and the entry of this row in it."""
        match row.state:
            case State.READY if row.lane is Lane.EVENT:
                return self._ready_events[row.partition], row.position
            case State.READY:
                return self._due[row.lane], (row.due_at, row.position)
            case State.SENT:
                return self._sent[row.sent_to], (row.sent_at or row.recorded_at, row.position)
            case State.DEAD:
                return self._dead, row.position
            case State.DISCARDED:
                return self._discarded, (row.due_at, row.position)
        return None

    def _count(self, row: Delivery, line: str | int, change: int) -> None:
        _add(self.counts, (row.lane, row.state), change)
        self.handed_over += change if row.is_handed_over else 0
        if row.state is State.DEAD:
            _add(self._dead_in_line, line, change)
        if row.lane is Lane.RECEIVED and row.state in _IN_LINE:
            _add(self._received_in, (row.group, row.topic, row.subject), change)

    def _at(self, positions: Iterable[int]) -> list[Delivery]:
        return [self._rows[position] for position in positions]


def _frozen(delivery: Delivery) -> Delivery:
    """The same with attributes of its own, which nobody can change."""
    return replace(delivery, attributes=MappingProxyType(dict(delivery.attributes)))


def _delete(ordered: list[Any], entry: Any) -> None:
    del ordered[bisect_left(ordered, entry)]


def _add(counter: Counter[Key], key: Key, change: int) -> None:
    counter[key] += change
    if not counter[key]:
        del counter[key]


# --- what the port shows of them --------------------------------------------------------------------------------------


class _Users(Users):
    def __init__(self, store: _Store) -> None:
        self._store = store

    async def get(self, id: UUID) -> User | None:
        return self._store.opened().users.get(id)


class _Orders(Orders):
    def __init__(self, store: _Store) -> None:
        self._store = store

    async def get(self, id: UUID) -> Order | None:
        return self._store.opened().orders.get(id.int)

    async def page(self, *, user_id: UUID | None, before: UUID | None, limit: int) -> Sequence[Order]:
        store = self._store.opened()
        ids: Sequence[int] = store.order_ids if user_id is None else store.order_ids_of.get(user_id, ())
        end = len(ids) if before is None else bisect_left(ids, before.int)
        return [store.orders[number] for number in reversed(ids[max(0, end - limit) : end])]

    async def page_of_owner(self, owner: Owner, *, before: UUID | None, limit: int) -> Sequence[Order]:
        store = self._store.opened()
        owned = (user.id for user in store.users.values() if user.owner == owner)
        pages = [await self.page(user_id=user_id, before=before, limit=limit) for user_id in owned]
        return sorted(itertools.chain(*pages), key=lambda order: order.id, reverse=True)[:limit]


class _Answers(Answers):
    def __init__(self, store: _Store) -> None:
        self._store = store

    async def get(self, id: str) -> Answer | None:
        return self._store.opened().answers.get(id)

    async def forget(self, *, before: datetime, limit: int) -> int:
        store = self._store.opened()
        old = store.answers_by_age[: min(limit, bisect_left(store.answers_by_age, (before, "")))]
        del store.answers_by_age[: len(old)]
        for _, id_ in old:
            del store.answers[id_]
        return len(old)


class _Ledger(Ledger):
    def __init__(self, store: _Store) -> None:
        self._store = store

    async def ready_events(self, *, partitions: Sequence[int], limit: int, after: int = 0) -> Sequence[Delivery]:
        return self._store.opened().deliveries.ready_events(partitions, limit, after)

    async def sent_events(self, *, to_other_than: str, before: datetime | None, limit: int) -> Sequence[Delivery]:
        return self._store.opened().deliveries.sent_events(to_other_than, before, limit)

    async def first_sent(self) -> Sequence[Delivery]:
        return self._store.opened().deliveries.first_sent()

    async def due(
        self, lane: Lane, *, now: datetime, limit: int, group: str = "", handed_before: datetime | None = None
    ) -> Sequence[Delivery]:
        return self._store.opened().deliveries.due(lane, group, now, limit, handed_before)

    async def handed_over(self) -> int:
        return self._store.opened().deliveries.handed_over

    async def get(self, id: str) -> Delivery | None:
        return self._store.opened().deliveries.get(id)

    async def dead(self, *, after: int, limit: int, sought: Sought = ALL) -> DeskPage:
        return self._store.opened().deliveries.dead(after, limit, sought)

    async def count_dead(self, sought: Sought) -> int:
        return self._store.opened().deliveries.count_dead(sought)

    async def of_subject(self, subject: str, *, limit: int) -> Sequence[Delivery]:
        return self._store.opened().deliveries.of_subject(subject, limit)

    async def flow(self, *, handled_since: datetime) -> Flow:
        store = self._store.opened()
        handled = len(store.inbox_by_age) - bisect_left(store.inbox_by_age, handled_since, key=itemgetter(0))
        return Flow(store.deliveries.sent_since(), store.deliveries.recorded, handled)

    async def counts(self) -> Mapping[tuple[Lane, State], int]:
        return dict(self._store.opened().deliveries.counts)

    async def due_since(self) -> Mapping[Lane, datetime]:
        return self._store.opened().deliveries.due_since()

    async def survey(self, group: str, topic: str, messages: Sequence[tuple[str | None, str, str]]) -> Survey:
        store = self._store.opened()
        lanes = {}
        for subject in {subject for subject, _, _ in messages if subject is not None}:
            version = store.lane_version(group, topic, subject)
            occupied = store.deliveries.is_occupied(group, topic, subject)
            if version or occupied:
                lanes[subject] = LaneState(version, occupied)
        asked = {(source, message_id) for _, source, message_id in messages}
        seen = frozenset(message for message in asked if (group, *message) in store.inbox)
        return Survey(seen, lanes)

    async def in_hand(self, group: str, topic: str, partition: int) -> Sequence[str]:
        return self._store.opened().in_hand.get((group, topic, partition), ())

    async def forget(self, *, before: datetime, limit: int) -> int:
        store = self._store.opened()
        entries = [entry for at, entry in store.inbox_by_age[:limit] if at < before]
        del store.inbox_by_age[: len(entries)]
        store.inbox.difference_update(entries)
        discarded = store.deliveries.discarded(before, limit - len(entries))
        for delivery_id in discarded:
            store.deliveries.remove(delivery_id)
        left = limit - len(entries) - len(discarded)
        lanes = list(islice((lane for lane, (_, at) in store.lanes.items() if at < before), left))
        for lane in lanes:
            del store.lanes[lane]
        return len(entries) + len(discarded) + len(lanes)


class _Leases(Leases):
    def __init__(self, store: _Store) -> None:
        self._store = store

    async def take(self, names: Sequence[str], *, holder: str, seconds: float) -> Mapping[str, int]:
        store = self._store.opened()
        until = store.clock.monotonic() + seconds
        fences = {}
        for name in names:
            held = store.held(name)
            if held is None:
                before = store.leases.get(name)
                fences[name] = before.fence + 1 if before else 1
            elif held.holder == holder:
                fences[name] = held.fence
            else:
                continue
            store.leases[name] = _Lease(holder, fences[name], until)
        return fences

    async def release(self, names: Sequence[str], *, holder: str) -> None:
        store = self._store.opened()
        for name in names:
            held = store.held(name)
            if held is not None and held.holder == holder:
                store.leases[name] = replace(held, holder=None)

    async def holders(self, prefix: str) -> Sequence[str]:
        store = self._store.opened()
        held = (store.held(name) for name in store.leases if name.startswith(prefix))
        return sorted({lease.holder for lease in held if lease is not None and lease.holder is not None})
