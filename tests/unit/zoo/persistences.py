"""Stores that lie: each is an honest one that breaks one promise."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatch
from typing import Any, ClassVar
from uuid import UUID

from adapters.persistence.memory import MemoryPersistence, _Lease
from domain.model.money import Money
from domain.model.order import Order, OrderLine
from domain.model.user import User
from ports.deliveries import Delivery, Lane, State
from ports.errors import Conflict, Precondition, Unavailable
from ports.persistence import (
    ALL,
    AddOrder,
    AddUser,
    Advance,
    Block,
    HoldLease,
    KeepAnswer,
    MarkSent,
    Persistence,
    Record,
    Remember,
    Remove,
    Replace,
    SaveOrder,
    Sought,
    TakeInHand,
    Traffic,
    Unblock,
    Write,
)
from tests.unit.zoo.judge import LibraryError


class Through:
    """One part of a store, as the honest one has it; a subclass changes one call."""

    def __init__(self, honest: Any, store: "LyingPersistence") -> None:
        self.honest = honest
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.honest, name)


class LyingPersistence(Persistence):
    """Passes everything on to an honest store; each liar changes one thing."""

    parts: ClassVar[Mapping[str, type[Through]]] = {}

    def __init__(self, honest: MemoryPersistence) -> None:
        self.honest = honest
        self.is_down = False
        for name in ("users", "orders", "ledger", "leases", "answers"):
            setattr(self, name, self.parts.get(name, Through)(getattr(honest, name), self))

    async def start(self) -> None:
        await self.honest.start()

    async def stop(self) -> None:
        await self.honest.stop()

    async def crash(self) -> None:
        """The server is killed."""
        self.is_down = True
        await self.honest.stop()

    async def recover(self) -> None:
        """The server is started again."""
        self.is_down = False
        await self.honest.start()

    async def ping(self) -> None:
        await self.honest.ping()

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        await self.honest.commit(writes, traffic=traffic, seconds=seconds)


class Leaving(LyingPersistence):
    """Commits without the writes that it leaves out."""

    def is_left_out(self, write: Write) -> bool:
        raise NotImplementedError(write)

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        await super().commit(
            [write for write in writes if not self.is_left_out(write)], traffic=traffic, seconds=seconds
        )


# --- units of work ----------------------------------------------------------------------------------------------------


class CommitsHalfAUnit(LyingPersistence):
    """Writes one after the other, and stops at the first that fails."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        await super().commit([], seconds=seconds)
        for write in writes:
            await super().commit([write], traffic=traffic, seconds=seconds)


class SwallowsConflicts(LyingPersistence):
    """Says that it has written what it has not."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        try:
            await super().commit(writes, traffic=traffic, seconds=seconds)
        except Conflict:
            return


class FailsTheWholeGroup(LyingPersistence):
    """Commits what waits together in one transaction, and lets it fail together."""

    def __init__(self, honest: MemoryPersistence) -> None:
        super().__init__(honest)
        self.group: list[Sequence[Write]] = []
        self.result: asyncio.Task[None] | None = None

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        self.group.append(writes)
        if self.result is None:
            self.result = asyncio.create_task(self.commit_all(traffic, seconds))
        await asyncio.shield(self.result)

    async def commit_all(self, traffic: Traffic, seconds: float) -> None:
        await asyncio.sleep(0)
        group, self.group, self.result = self.group, [], None
        await super().commit([write for writes in group for write in writes], traffic=traffic, seconds=seconds)


class AnswersBeforeItHasWritten(LyingPersistence):
    """Commits when it finds the time."""

    def __init__(self, honest: MemoryPersistence) -> None:
        super().__init__(honest)
        self.later: set[asyncio.Future[Any]] = set()

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        self.honest._store.opened().check(writes)
        later = asyncio.gather(self.write_later(writes, traffic, seconds), return_exceptions=True)
        self.later.add(later)

    async def write_later(self, writes: Sequence[Write], traffic: Traffic, seconds: float) -> None:
        await asyncio.sleep(0.05)
        await super().commit(writes, traffic=traffic, seconds=seconds)


class LosesWhatItsDiskHadNot(LyingPersistence):
    """Commits to a cache that a crash, or a clean stop, empties."""

    async def stop(self) -> None:
        await super().stop()
        self.honest._store.users.clear()


class LosesAddressesInACrash(LyingPersistence):
    """Says durable, and means in memory."""

    async def crash(self) -> None:
        await super().crash()
        self.honest._store.users.clear()


class TakesBackWhatWasGiven(LyingPersistence):
    """Drops the unit of a caller that has gone."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        await super().commit(writes, traffic=traffic, seconds=seconds)


class ReadsTheUnitLate(LyingPersistence):
    """Does not copy what it was given."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.shield(super().commit(writes, traffic=traffic, seconds=seconds))


class HasAllTheTime(LyingPersistence):
    """Writes what nobody waits for any more."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        await super().commit(writes, traffic=traffic, seconds=max(1, seconds))


class WritesSomeBeforeItChecks(LyingPersistence):
    """Lets others see what is taken back later."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        early = [write for write in writes if isinstance(write, Record)]
        self.honest._store.opened().check(early)
        self.honest._store.apply(early)
        await asyncio.sleep(0)
        for write in early:
            self.honest._store.deliveries.remove(write.delivery.id)
        await super().commit(writes, traffic=traffic, seconds=seconds)


class BlocksInTheOrderOfTheUnit(LyingPersistence):
    """Looks at the rows as they are when it comes to the block, not as the unit leaves them."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        self.honest._store.opened().check(writes)
        await super().commit([], traffic=traffic, seconds=seconds)
        for write in writes:
            self.honest._store._write(write)


class AnswersWhenItIsStopped(LyingPersistence):
    """Reads on from a closed store."""

    class users(Through):  # noqa: N801
        async def get(self, id: UUID) -> User | None:
            return self.store.honest._store.users.get(id)

    parts: ClassVar = {"users": users}


# --- preconditions ----------------------------------------------------------------------------------------------------


class IgnoresLeases(Leaving):
    """Lets anybody write for a lease."""

    def is_left_out(self, write: Write) -> bool:
        return isinstance(write, HoldLease)


class AnswersWithoutKeeping(Leaving):
    """Does again what it has done."""

    def is_left_out(self, write: Write) -> bool:
        return isinstance(write, KeepAnswer)


class KeepsAnswersApart(LyingPersistence):
    """Keeps the answer first, in a transaction of its own."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        await super().commit([write for write in writes if isinstance(write, KeepAnswer)], seconds=seconds)
        rest = [write for write in writes if not isinstance(write, KeepAnswer)]
        await super().commit(rest, traffic=traffic, seconds=seconds)


class LooksAtTheKeyLast(LyingPersistence):
    """Tells somebody who sends a request again that the address is taken."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        emails = self.honest._store.emails
        if any(isinstance(write, AddUser) and write.user.email in emails for write in writes):
            raise Conflict(Precondition.EMAIL_IS_NEW)
        await super().commit(writes, traffic=traffic, seconds=seconds)


class KeepsAnswersForEver(LyingPersistence):
    """Grows and grows."""

    class answers(Through):  # noqa: N801
        async def forget(self, *, before: datetime, limit: int) -> int:  # noqa: ARG002
            return 0

    parts: ClassVar = {"answers": answers}


class IgnoresTokens(LyingPersistence):
    """The last one wins."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        await super().commit([self._blindly(write) for write in writes], traffic=traffic, seconds=seconds)

    def _blindly(self, write: Write) -> Write:
        if isinstance(write, Replace):
            row = self.honest._store.deliveries.get(write.delivery.id)
            return replace(write, token=row.token) if row else write
        return replace(write, token=None) if isinstance(write, Remove) else write


class IgnoresVersions(LyingPersistence):
    """Saves whatever version it is given."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        store, orders = self.honest._store, [write.order for write in writes if isinstance(write, SaveOrder)]
        for order in orders:
            if stored := store.orders.get(order.id.int):
                store.orders[order.id.int] = replace(stored, version=order.version - 1)
        await super().commit(writes, traffic=traffic, seconds=seconds)


class AddsOrdersOfNobody(LyingPersistence):
    """Has no foreign key."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        users = self.honest._store.users
        nobodies = {write.order.user_id for write in writes if isinstance(write, AddOrder)} - users.keys()
        users.update(dict.fromkeys(nobodies))  # type: ignore[arg-type]
        await super().commit(writes, traffic=traffic, seconds=seconds)


class AddsAnAddressTwice(LyingPersistence):
    """Has no unique index."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        self.honest._store.emails.difference_update(write.user.email for write in writes if isinstance(write, AddUser))
        await super().commit(writes, traffic=traffic, seconds=seconds)


class ForgetsWhatItHasSeen(Leaving):
    """Keeps no inbox."""

    def is_left_out(self, write: Write) -> bool:
        return isinstance(write, Remember)


class LetsLanesBeMovedTwice(LyingPersistence):
    """Does not look at the version of a lane."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        store = self.honest._store
        await super().commit(
            [
                replace(write, version=store.lane_version(write.group, write.topic, write.subject))
                if isinstance(write, Advance)
                else write
                for write in writes
            ],
            traffic=traffic,
            seconds=seconds,
        )


class ForgetsItsHands(Leaving):
    """Does not note what is about to be handled."""

    def is_left_out(self, write: Write) -> bool:
        return isinstance(write, TakeInHand)


class NeverBlocks(Leaving):
    """Lets those behind a dead one pass."""

    def is_left_out(self, write: Write) -> bool:
        return isinstance(write, Block)


class NeverUnblocks(Leaving):
    """Lets them wait for ever."""

    def is_left_out(self, write: Write) -> bool:
        return isinstance(write, Unblock)


class KeepsTheTokenOfWhatWasSent(LyingPersistence):
    """Marks an event without moving its token on."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        deliveries = self.honest._store.deliveries
        marked = [row for write in writes if isinstance(write, MarkSent) and (row := deliveries.get(write.id))]
        await super().commit(writes, traffic=traffic, seconds=seconds)
        for before in marked:
            if row := deliveries.get(before.id):
                deliveries._put(replace(row, token=before.token))


# --- what is read -----------------------------------------------------------------------------------------------------


class KeepsTwoPlaces(LyingPersistence):
    """Knows euros and dollars, and no dinars."""

    class orders(Through):  # noqa: N801
        async def get(self, id: UUID) -> Order | None:
            order: Order | None = await self.honest.get(id)
            return order and replace(order, lines=tuple(self.cut(line) for line in order.lines))

        def cut(self, line: OrderLine) -> OrderLine:
            amount, currency = line.unit_price.amount, line.unit_price.currency
            return replace(line, unit_price=Money(Decimal(int(amount * 100)) / 100, currency))

    parts: ClassVar = {"orders": orders}


class OverlapsItsPages(LyingPersistence):
    """Begins a page with the last of the one before."""

    class orders(Through):  # noqa: N801
        async def page(self, *, user_id: UUID | None, before: UUID | None, limit: int) -> Sequence[Order]:
            page: list[Order] = await self.honest.page(user_id=user_id, before=before, limit=limit)
            last = await self.honest.get(before) if before else None
            return ([last] if last else []) + page[: limit - 1 if last else limit]

    parts: ClassVar = {"orders": orders}


class PublishesInTheOrderOfTheirTime(LyingPersistence):
    """Sorts events by when they are due."""

    class ledger(Through):  # noqa: N801
        async def ready_events(self, *, partitions: Sequence[int], limit: int, after: int = 0) -> Sequence[Delivery]:
            ready: list[Delivery] = await self.honest.ready_events(partitions=partitions, limit=limit, after=after)
            return sorted(ready, key=lambda row: row.due_at)

    parts: ClassVar = {"ledger": ledger}


class LooksAtTheTimeAlone(LyingPersistence):
    """What is due goes, whatever stands before it."""

    class ledger(Through):  # noqa: N801
        async def due(self, lane: Lane, *, now: datetime, limit: int, **others: Any) -> Sequence[Delivery]:
            rows = self.store.honest._store.deliveries._rows.values()
            group = others.get("group", "")
            due = [row for row in rows if (row.lane, row.group, row.state) == (lane, group, State.READY)]
            return sorted((row for row in due if row.due_at <= now), key=lambda row: row.due_at)[:limit]

    parts: ClassVar = {"ledger": ledger}


class HandsOverAgainAtOnce(LyingPersistence):
    """Does not know what a queue was given lately."""

    class ledger(Through):  # noqa: N801
        async def due(self, lane: Lane, **others: Any) -> object:
            return await self.honest.due(lane, **{**others, "handed_before": None})

    parts: ClassVar = {"ledger": ledger}


class CountsWhatIsNotInAQueue(LyingPersistence):
    """Whatever has a time at which it was sent."""

    class ledger(Through):  # noqa: N801
        async def handed_over(self) -> int:
            rows = self.store.honest._store.deliveries._rows.values()
            return sum(row.sent_at is not None for row in rows)

    parts: ClassVar = {"ledger": ledger}


class TakesTheFirstRecordedForTheFirstSent(LyingPersistence):
    """As if the order of recording were the order of sending."""

    class ledger(Through):  # noqa: N801
        async def first_sent(self) -> Sequence[Delivery]:
            rows = self.store.honest._store.deliveries._rows.values()
            return [row for row in rows if row.state is State.SENT][:1]

    parts: ClassVar = {"ledger": ledger}


class ForgetsWithoutBound(LyingPersistence):
    """Stops the store for as long as it takes."""

    class ledger(Through):  # noqa: N801
        async def forget(self, *, before: datetime, limit: int) -> int:  # noqa: ARG002
            forgotten: int = await self.honest.forget(before=before, limit=1_000_000)
            return forgotten

    parts: ClassVar = {"ledger": ledger}


class ShowsTheDeadAgain(LyingPersistence):
    """Begins each page of the desk at the first."""

    class ledger(Through):  # noqa: N801
        async def dead(self, *, after: int, limit: int, sought: Sought = ALL) -> object:  # noqa: ARG002
            return await self.honest.dead(after=0, limit=limit, sought=sought)

    parts: ClassVar = {"ledger": ledger}


class SearchesForPatterns(LyingPersistence):
    """Takes what the desk is searched for as one would for a name of a file."""

    class ledger(Through):  # noqa: N801
        async def dead(self, *, after: int, limit: int, sought: Sought = ALL) -> object:
            found = await self.honest.dead(after=after, limit=limit)
            items = [row for row in found.items if fnmatch(row.reason or "", f"*{sought.reason.lower()}*")]
            return replace(found, items=items)

    parts: ClassVar = {"ledger": ledger}


class FindsOneGroup(LyingPersistence):
    """Of a subject it knows what one group has of it."""

    class ledger(Through):  # noqa: N801
        async def of_subject(self, subject: str, *, limit: int) -> object:
            return [row for row in await self.honest.of_subject(subject, limit=limit) if row.group != "other"]

    parts: ClassVar = {"ledger": ledger}


class CountsWhatIsThere(LyingPersistence):
    """Takes for recorded what is left of it."""

    class ledger(Through):  # noqa: N801
        async def flow(self, *, handled_since: datetime) -> object:
            flow = await self.honest.flow(handled_since=handled_since)
            return replace(flow, recorded=sum((await self.honest.counts()).values()))

    parts: ClassVar = {"ledger": ledger}


# --- leases -----------------------------------------------------------------------------------------------------------


class LosesTheFence(LyingPersistence):
    """Starts again at 1 with each new holder."""

    class leases(Through):  # noqa: N801
        async def take(self, names: Sequence[str], *, holder: str, seconds: float) -> Mapping[str, int]:
            fences: Mapping[str, int] = await self.honest.take(names, holder=holder, seconds=seconds)
            rows = self.store.honest._store.leases
            for name in fences:
                rows[name] = replace(rows[name], fence=1)
            return dict.fromkeys(fences, 1)

    parts: ClassVar = {"leases": leases}


class FencesEachRenewal(LyingPersistence):
    """Takes a lease from its own holder."""

    class leases(Through):  # noqa: N801
        async def take(self, names: Sequence[str], *, holder: str, seconds: float) -> Mapping[str, int]:
            fences: Mapping[str, int] = await self.honest.take(names, holder=holder, seconds=seconds)
            rows = self.store.honest._store.leases
            for name in fences:
                rows[name] = replace(rows[name], fence=rows[name].fence + 1)
            return {name: rows[name].fence for name in fences}

    parts: ClassVar = {"leases": leases}


class GivesALeaseToEverybody(LyingPersistence):
    """Whoever asks last has it."""

    class leases(Through):  # noqa: N801
        async def take(self, names: Sequence[str], *, holder: str, seconds: float) -> Mapping[str, int]:
            store = self.store.honest._store.opened()
            for name in names:
                fence = store.leases[name].fence + 1 if name in store.leases else 1
                store.leases[name] = _Lease(holder, fence, store.clock.monotonic() + seconds)
            return {name: store.leases[name].fence for name in names}

    parts: ClassVar = {"leases": leases}


class HoldsLeasesForEver(LyingPersistence):
    """A dead process keeps what it held."""

    class leases(Through):  # noqa: N801
        async def take(self, names: Sequence[str], *, holder: str, seconds: float) -> Mapping[str, int]:
            fences: Mapping[str, int] = await self.honest.take(names, holder=holder, seconds=seconds * 1_000)
            return fences

    parts: ClassVar = {"leases": leases}


class LetsAnybodyLetGo(LyingPersistence):
    """Releases without looking whose it is."""

    class leases(Through):  # noqa: N801
        async def release(self, names: Sequence[str], *, holder: str) -> None:  # noqa: ARG002
            for name in names:
                self.store.honest._store.leases.pop(name, None)

    parts: ClassVar = {"leases": leases}


# --- while the server is gone -----------------------------------------------------------------------------------------


class CommitsToNobody(LyingPersistence):
    """Says written when nobody was there."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        if not self.is_down:
            await super().commit(writes, traffic=traffic, seconds=seconds)


class WaitsForTheServer(LyingPersistence):
    """Without any deadline."""

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        await _or(super().commit(writes, traffic=traffic, seconds=seconds), asyncio.Future)


class RaisesItsDriversError(LyingPersistence):
    """Instead of the port's."""

    class users(Through):  # noqa: N801
        async def get(self, id: UUID) -> object:
            return await _or(self.honest.get(id), _library_error)

    parts: ClassVar = {"users": users}


class AnswersFromMemoryWhenItIsDown(LyingPersistence):
    """Nothing is due, while nothing is known."""

    class ledger(Through):  # noqa: N801
        async def due(self, lane: Lane, **others: Any) -> object:
            return await _or(self.honest.due(lane, **others), _nothing)

    parts: ClassVar = {"ledger": ledger}


class NeverReconnects(LyingPersistence):
    """What was down once stays down."""

    was_down = False

    async def crash(self) -> None:
        await super().crash()
        self.was_down = True

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        if self.was_down:
            raise Unavailable("the pool is closed")
        await super().commit(writes, traffic=traffic, seconds=seconds)


class HangsInStopWhenItIsDown(LyingPersistence):
    """Waits for every connection."""

    async def stop(self) -> None:
        if self.is_down:
            self.is_down = False
            await asyncio.Future()
        await super().stop()


async def _or(call: Awaitable[object], otherwise: Callable[[], Awaitable[object]]) -> object:
    try:
        return await call
    except Unavailable:
        return await otherwise()


async def _library_error() -> None:
    raise LibraryError("InterfaceError: connection is closed")


async def _nothing() -> Sequence[object]:
    return []
