"""What housekeeping forgets, and when."""

import asyncio

import httpx

from entrypoints.consumer import housekeeping_loop
from entrypoints.testing import Crossdock, crossdock

KEEP = 3_600


async def register(dock: Crossdock) -> httpx.Response:
    return await dock.client.post(
        "/register-user/", json={"email": "ann@example.com"}, headers={"Idempotency-Key": "k-1"}
    )


async def keep_house(dock: Crossdock) -> None:
    """A round of it."""
    round_ = asyncio.create_task(housekeeping_loop(dock.container).run())
    for _ in range(10):  # it waits for nobody but its turn
        await asyncio.sleep(0)
    round_.cancel()
    await asyncio.wait({round_})


async def test_answers_are_kept_as_long_as_it_is_set_and_then_forgotten() -> None:
    async with crossdock(CROSSDOCK_IDEMPOTENCY_KEEP=str(KEEP)) as dock:
        await register(dock)

        await dock.clock.advance(KEEP)
        await keep_house(dock)
        kept = await register(dock)
        await dock.clock.advance(1)
        await keep_house(dock)
        forgotten = await register(dock)

        assert (kept.status_code, kept.headers["idempotency-replayed"]) == (201, "true")
        assert forgotten.status_code == 409
        assert forgotten.json()["code"] == "email-already-registered"
