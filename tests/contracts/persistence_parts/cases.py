"""What the cases of a persistence are written with, and what an adapter gives to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from domain.model.order import Order
from domain.model.user import User
from ports.deliveries import Delivery, State
from ports.errors import Conflict, Precondition
from ports.persistence import AddOrder, AddUser, Answer, Block, Persistence, Record, Replace, Traffic, Write
from tests.builders import NOON, a_user, an_order
from tests.clock import ManualClock

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# What a person or another system may send, and what has broken stores before.
AWKWARD = "a\r\n\t\\ 'quoted\" %s {} ñ 漢字 👩‍👩‍👧 🎉 \U0010ffff"
NUL = "a\x00b"


class PersistenceCases:
    """What cases are written with, and what an adapter gives to them."""

    keeps_nul: ClassVar[bool] = True  # in text; a store that cannot refuses it

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock that the adapter was given."""
        raise NotImplementedError

    @pytest.fixture
    def persistence(self, clock: ManualClock) -> AsyncIterator[Persistence] | Persistence:
        """A started adapter that holds nothing yet; a case may stop it."""
        raise NotImplementedError(f"give the adapter {clock} and start it")

    async def let_pass(self, clock: ManualClock, seconds: float) -> None:
        """Let time pass for the store."""
        await clock.advance(seconds)

    async def reopened(self, persistence: Persistence) -> Persistence:
        """The same store, closed and opened again."""
        await persistence.stop()
        await persistence.start()
        return persistence


async def commit(persistence: Persistence, *writes: Write) -> None:
    await persistence.commit(writes)


def unit(*writes: Write) -> list[Write]:
    return list(writes)


async def failing(attempt: Awaitable[None]) -> Precondition | None:
    """The precondition that did not hold; None when all did."""
    try:
        await attempt
    except Conflict as conflict:
        return conflict.precondition
    return None


async def race(persistence: Persistence, *units: Sequence[Write]) -> list[Precondition | None]:
    """Commit all of the units at once, by all kinds of traffic; what failed of each."""
    kinds = list(Traffic)
    return await asyncio.gather(
        *(failing(persistence.commit(unit, traffic=kinds[at % len(kinds)])) for at, unit in enumerate(units))
    )


def one_winner(outcomes: Sequence[Precondition | None], lost: Precondition) -> bool:
    return sorted(outcomes, key=str) == sorted([None, *[lost] * (len(outcomes) - 1)], key=str)


async def recorded(persistence: Persistence, *deliveries: Delivery) -> list[Delivery]:
    """Record these in one unit, in their order, and read them back."""
    await persistence.commit([Record(delivery) for delivery in deliveries])
    return [await stored(persistence, delivery) for delivery in deliveries]


async def stored(persistence: Persistence, delivery: Delivery) -> Delivery:
    row = await persistence.ledger.get(delivery.id)
    assert row is not None
    return row


async def states(persistence: Persistence, *deliveries: Delivery) -> list[State]:
    return [(await stored(persistence, delivery)).state for delivery in deliveries]


def ids(deliveries: Iterable[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def dead(delivery: Delivery) -> Delivery:
    return delivery.died("no such mailbox", NOON, attempts=1)


def change(delivery: Delivery, changed: Delivery) -> Replace:
    return Replace(changed, token=delivery.token)


def key_of(delivery: Delivery) -> str:
    assert delivery.ordering_key is not None
    return delivery.ordering_key


def an_answer(id: str = "a-1", **changes: Any) -> Answer:
    fresh = Answer(id, fingerprint="f-1", status=201, location="/orders/1", body=b'{"id":"1"}', at=NOON)
    return replace(fresh, **changes)


async def a_stored_user(persistence: Persistence, **changes: object) -> User:
    user = a_user(**changes)
    await commit(persistence, AddUser(user))
    return user


async def a_stored_order(persistence: Persistence) -> Order:
    user = a_user()
    order = an_order(user=user)
    await commit(persistence, AddUser(user), AddOrder(order))
    return order


async def a_dead_head(persistence: Persistence, head: Delivery, *followers: Delivery) -> list[Delivery]:
    """Record these; the first is dead and the others wait behind it."""
    rows = await recorded(persistence, head, *followers)
    await commit(persistence, change(rows[0], dead(rows[0])), Block(key_of(head)))
    return [await stored(persistence, row) for row in rows]
