from collections.abc import AsyncIterator

import pytest

from adapters.persistence.memory import MemoryPersistence
from ports.errors import Unavailable
from ports.persistence import AddUser, Persistence, Record
from tests.builders import a_delivery, a_user
from tests.clock import ManualClock
from tests.contracts.persistence import PersistenceContract
from tests.contracts.persistence_outage import PersistenceOutageContract
from tests.contracts.persistence_parts.cases import commit, recorded


class TestMemoryPersistence(PersistenceContract):
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    async def persistence(self, clock: ManualClock) -> AsyncIterator[Persistence]:
        persistence = MemoryPersistence(clock)
        await persistence.start()
        yield persistence
        await persistence.stop()


class TestMemoryPersistenceOutage(PersistenceOutageContract):
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    async def persistence(self, clock: ManualClock) -> AsyncIterator[Persistence]:
        persistence = MemoryPersistence(clock)
        await persistence.start()
        yield persistence
        await persistence.stop()

    async def take_away(self, persistence: Persistence) -> None:
        await persistence.stop()

    async def bring_back(self, persistence: Persistence) -> None:
        await persistence.start()


async def test_nothing_is_answered_before_it_is_started() -> None:
    persistence = MemoryPersistence(ManualClock())

    with pytest.raises(Unavailable):
        await persistence.ping()


async def test_what_it_had_is_there_when_it_is_started_again() -> None:
    persistence = MemoryPersistence(ManualClock())
    await persistence.start()
    user = a_user()
    await commit(persistence, AddUser(user))
    await persistence.stop()

    await persistence.start()

    assert await persistence.users.get(user.id) == user


async def test_what_was_read_cannot_be_changed() -> None:
    persistence = MemoryPersistence(ManualClock())
    await persistence.start()

    (row,) = await recorded(persistence, a_delivery(attributes={"type": "one"}))

    with pytest.raises(TypeError):
        row.attributes["type"] = "two"  # type: ignore[index]


async def test_indexes_do_not_keep_what_is_gone() -> None:
    """A process that runs for months meets millions of subjects."""
    persistence = MemoryPersistence(ManualClock())
    await persistence.start()
    deliveries = persistence._store.deliveries

    for _ in range(10):
        row = a_delivery()
        await commit(persistence, Record(row))
        await persistence.ledger.ready_events(partitions=[0], limit=1)
        deliveries.remove(row.id)

    assert not any([deliveries._lines, deliveries._rows, deliveries._position_of, deliveries.counts])
