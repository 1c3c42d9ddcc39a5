import pytest

from tests.unit.delivery.builders import FlakyPersistence, Process, World


@pytest.fixture
async def world() -> World:
    return await World.begin()


@pytest.fixture
async def process(world: World) -> Process:
    return await world.process()


@pytest.fixture
def store(world: World) -> FlakyPersistence:
    """What a process under test is given, and what fails when a test says so."""
    return FlakyPersistence(world.store)
