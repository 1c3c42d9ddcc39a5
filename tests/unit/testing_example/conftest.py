from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from entrypoints.testing import Crossdock, crossdock
from tests.unit.testing_example.reorder_route import router


@pytest.fixture
async def dock() -> AsyncIterator[Crossdock]:
    async with crossdock(CROSSDOCK_MAX_ATTEMPTS="2") as dock:
        dock.app.include_router(router)
        yield dock


@pytest.fixture
async def ann(dock: Crossdock) -> UUID:
    """A user with one order, which is confirmed; all of her mails have been sent."""
    user = (await dock.client.post("/register-user/", json={"email": "ann@example.com"})).json()
    line = {"sku": "tea-1", "quantity": 2, "unit_price": "9.90"}
    await dock.client.post("/orders/", json={"user_id": user["id"], "currency": "EUR", "lines": [line]})
    await dock.settle()
    return UUID(user["id"])
