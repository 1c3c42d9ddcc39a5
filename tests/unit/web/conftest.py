from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from entrypoints.web.app import create_app
from tests.unit.web.parts import Parts
from tests.unit.web.talk import OPERATOR_TOKEN, client_of


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    parts = Parts()
    await parts.store.start()
    yield parts
    await parts.store.stop()


@pytest.fixture
def app(parts: Parts) -> FastAPI:
    return create_app(parts, operator_token=OPERATOR_TOKEN, weather_ttl=600)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def user(client: httpx.AsyncClient) -> Any:
    """A registered user, as the service told of it."""
    answer = await client.post("/register-user/", json={"email": "ann@example.com", "name": "Ann"})
    assert answer.status_code == 201
    return answer.json()
