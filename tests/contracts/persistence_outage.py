"""What every persistence promises when what it is made of goes away and comes back.

A subclass of `PersistenceOutageContract` whose name starts with ``Test`` proves one adapter: it defines the fixtures
``clock`` and ``persistence`` and fills `take_away` and `bring_back`, with a server that is its own. A store inside this
process is its own server: stopped, nobody reaches it, and what it holds is there when it is started again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar, TypeVar

import pytest

from domain.model.user import Owner, User
from ports.deliveries import Lane
from ports.errors import Unavailable, Unknown
from ports.persistence import AddUser, Persistence, Record, Sought
from tests.builders import NOON, a_delivery, a_user, an_id
from tests.contracts.persistence_parts.cases import PersistenceCases, commit, recorded, stored

Answer = TypeVar("Answer")
Call = Callable[[Persistence], Awaitable[object]]

READS: dict[str, Call] = {
    "user": lambda store: store.users.get(an_id()),
    "order": lambda store: store.orders.get(an_id()),
    "page of orders": lambda store: store.orders.page(user_id=None, before=None, limit=1),
    "page of an owner": lambda store: store.orders.page_of_owner(Owner("issuer", "ann"), before=None, limit=1),
    "delivery": lambda store: store.ledger.get("m-1"),
    "ready events": lambda store: store.ledger.ready_events(partitions=[0], limit=1),
    "sent events": lambda store: store.ledger.sent_events(to_other_than="broker-1", before=None, limit=1),
    "due tasks": lambda store: store.ledger.due(Lane.TASK, now=NOON, limit=1),
    "handed over": lambda store: store.ledger.handed_over(),
    "desk": lambda store: store.ledger.dead(after=0, limit=1),
    "counts": lambda store: store.ledger.counts(),
    "dead of a kind": lambda store: store.ledger.count_dead(Sought(reason="no such mailbox")),
    "deliveries of a subject": lambda store: store.ledger.of_subject("s", limit=1),
    "flow": lambda store: store.ledger.flow(handled_since=NOON),
    "survey": lambda store: store.ledger.survey("g", "t", [("s", "shop", "m-1")]),
    "in hand": lambda store: store.ledger.in_hand("g", "t", 0),
    "forget": lambda store: store.ledger.forget(before=NOON, limit=1),
    "answer": lambda store: store.answers.get("a-1"),
    "forget answers": lambda store: store.answers.forget(before=NOON, limit=1),
    "take a lease": lambda store: store.leases.take(["relay/0"], holder="a", seconds=10),
    "release a lease": lambda store: store.leases.release(["relay/0"], holder="a"),
    "holders of leases": lambda store: store.leases.holders("relay/"),
    "ping": lambda store: store.ping(),
}


class PersistenceOutageContract(PersistenceCases):
    """All of it."""

    patience: ClassVar[float] = 30  # seconds until a case gives up waiting for what was promised
    in_time: ClassVar[float] = 6  # seconds in which each call ends while nobody is there

    async def take_away(self, persistence: Persistence) -> None:
        """Kill the server, as by ``kill -9``, with what it had on its disk left as it is."""
        raise NotImplementedError(f"kill the server of {persistence}")

    async def bring_back(self, persistence: Persistence) -> None:
        """Start the server again, with what it had; returns when a new client could reach it."""
        raise NotImplementedError(f"start the server of {persistence} again")

    async def a_moment(self) -> None:
        """Let others do something, before looking again."""
        await asyncio.sleep(0)

    async def test_what_is_committed_meanwhile_is_not_said_to_be_written(self, persistence: Persistence) -> None:
        user = a_user()
        await self.take_away(persistence)

        async with asyncio.timeout(self.in_time):
            with pytest.raises((Unavailable, Unknown)):
                await commit(persistence, AddUser(user))
        await self.bring_back(persistence)

        assert await self.answers(lambda: persistence.users.get(user.id)) is None

    async def test_many_who_commit_meanwhile_are_all_told_in_time(self, persistence: Persistence) -> None:
        await self.take_away(persistence)

        async with asyncio.timeout(self.in_time):
            outcomes = await asyncio.gather(
                *(commit(persistence, AddUser(a_user())) for _ in range(50)), return_exceptions=True
            )

        assert all(isinstance(outcome, Unavailable | Unknown) for outcome in outcomes)

    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    async def test_whatever_is_asked_meanwhile_is_unavailable_in_time(
        self, persistence: Persistence, read: Call
    ) -> None:
        await self.take_away(persistence)

        async with asyncio.timeout(self.in_time):
            with pytest.raises(Unavailable):
                await read(persistence)

    async def test_what_was_committed_before_is_there_afterwards(self, persistence: Persistence) -> None:
        users = [a_user() for _ in range(20)]
        await asyncio.gather(
            *(commit(persistence, AddUser(user), Record(a_delivery(id=str(user.id)))) for user in users)
        )

        await self.take_away(persistence)
        await self.bring_back(persistence)

        await self.answers(persistence.ping)
        for user in users:
            assert await persistence.users.get(user.id) == user
            assert await persistence.ledger.get(str(user.id)) is not None

    async def test_committing_goes_on_by_itself(self, persistence: Persistence) -> None:
        (before,) = await recorded(persistence, a_delivery())
        await self.take_away(persistence)
        await self.bring_back(persistence)

        async def add_a_user() -> User:
            user = a_user()
            try:
                await commit(persistence, AddUser(user))
            except Unknown as error:  # of a connection that had died before; this one user may be there or not
                raise Unavailable("not known") from error
            return user

        user = await self.answers(add_a_user)

        assert await persistence.users.get(user.id) == user
        assert await stored(persistence, before) == before

    async def test_stopping_meanwhile_ends_in_time(self, persistence: Persistence) -> None:
        await self.take_away(persistence)

        async with asyncio.timeout(self.in_time):
            await persistence.stop()

    async def answers(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Call until the store answers: how soon it notices that the server is back is its own."""
        async with asyncio.timeout(self.patience):
            while True:
                try:
                    return await call()
                except Unavailable:
                    await self.a_moment()
