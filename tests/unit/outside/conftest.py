import pytest

from ports.outside import OutsideCounts
from tests.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def counts() -> OutsideCounts:
    return OutsideCounts()
