import pytest

from adapters.ids import UuidV7Ids
from adapters.mailer.memory import MemoryMailer
from adapters.persistence.memory import MemoryPersistence
from domain.delivery.unit_of_work import Recording
from ports.ids import Ids
from tests.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ids(clock: ManualClock) -> Ids:
    return UuidV7Ids(clock)


@pytest.fixture
async def persistence(clock: ManualClock) -> MemoryPersistence:
    persistence = MemoryPersistence(clock)
    await persistence.start()
    return persistence


@pytest.fixture
def unit_of_work(persistence: MemoryPersistence, clock: ManualClock) -> Recording:
    return Recording(persistence, clock, partitions=4, performs_as=None)


@pytest.fixture
def mailer() -> MemoryMailer:
    return MemoryMailer()
