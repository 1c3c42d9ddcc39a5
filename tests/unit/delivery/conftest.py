import pytest

from tests.unit.delivery.builders import Process, World


@pytest.fixture
async def world() -> World:
    return await World.begin()


@pytest.fixture
async def process(world: World) -> Process:
    return await world.process()
