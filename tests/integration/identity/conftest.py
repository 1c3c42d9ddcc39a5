from collections.abc import AsyncIterator

import pytest

from tests.clock import ManualClock
from tests.stand_ins.issuer import FakeIssuer, Key, new_key


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def first_key() -> Key:
    """Made once: it takes a while."""
    return new_key()


@pytest.fixture
async def issuer(clock: ManualClock, first_key: Key) -> AsyncIterator[FakeIssuer]:
    async with FakeIssuer(first_key, now=clock.now().timestamp()) as issuer:
        yield issuer
