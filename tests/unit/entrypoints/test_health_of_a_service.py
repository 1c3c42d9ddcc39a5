"""What `/readyz` says of a whole service while something of it hangs, and of one that has nothing to do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dependency_injector import providers

from entrypoints.container import Container
from entrypoints.startup import pipeline
from entrypoints.testing import Crossdock, crossdock
from ports.errors import Unavailable
from ports.persistence import Record
from tests.builders import a_task

SEEN_SECONDS = 15.0
HOUR = 3600


@asynccontextmanager
async def working(configure: Callable[[Container], None] | None = None) -> AsyncIterator[Crossdock]:
    """A service that also works by itself, as `crossdock up` does, on time that stands still."""
    async with crossdock(configure=configure, CROSSDOCK_TASK_QUEUE="background") as dock, pipeline(dock.container):
        await dock.clock.advance(5)
        yield dock


async def order(dock: Crossdock) -> None:
    user = (await dock.client.post("/register-user/", json={"email": "ann@example.com"})).json()
    line = {"sku": "tea-1", "quantity": 2, "unit_price": "9.90"}
    answer = await dock.client.post("/orders/", json={"user_id": user["id"], "currency": "EUR", "lines": [line]})
    assert answer.status_code == 201


async def readiness(dock: Crossdock) -> tuple[str, dict[str, str]]:
    """Its status, and the causes of the checks that are in trouble."""
    document = (await dock.client.get("/readyz")).json()
    return document["status"], {name: each["cause"] for name, each in document["checks"].items() if each["cause"]}


async def test_a_service_with_nothing_to_do_for_an_hour_is_ready_all_the_time() -> None:
    async with working() as dock:
        for _ in range(12):
            await dock.clock.advance(HOUR / 12)

            assert await readiness(dock) == ("ready", {})


async def test_a_service_that_has_done_all_there_was_is_ready() -> None:
    async with working() as dock:
        await order(dock)
        await dock.clock.advance(60)

        assert await readiness(dock) == ("ready", {})
        assert len(dock.mails) == 2


async def test_a_reaction_that_never_returns_is_seen_and_so_is_its_end() -> None:
    gate = asyncio.Event()

    async def hangs(*_: Any) -> None:
        await gate.wait()

    def configure(container: Container) -> None:
        container.confirm_order.override(providers.Object(hangs))

    async with working(configure) as dock:
        await order(dock)
        await dock.clock.advance(SEEN_SECONDS)
        hanging = await readiness(dock)
        gate.set()
        await dock.clock.advance(SEEN_SECONDS)

        assert hanging[0] == "degraded"
        assert hanging[1]["reactions"] == "stuck"
        assert await readiness(dock) == ("ready", {})


async def test_a_broker_that_takes_nothing_is_seen_and_so_is_its_return() -> None:
    async with working() as dock:
        broker = dock.container.event_broker()
        publish, broker.publish = broker.publish, _away
        await order(dock)
        await dock.clock.advance(SEEN_SECONDS)
        away = await readiness(dock)
        broker.publish = publish
        await dock.clock.advance(SEEN_SECONDS)

        assert away[0] == "degraded"
        assert away[1]["event_relay"] == "out_of_reach"
        assert away[1]["publishing"] == "behind"
        assert await readiness(dock) == ("ready", {})


async def _away(messages: Any) -> list[Unavailable]:
    return [Unavailable("the broker takes nothing") for _ in messages]


async def test_a_message_that_nobody_can_handle_is_seen_and_so_is_its_end() -> None:
    async with working() as dock:
        letter = a_task(attempts=1).died("no such mailbox", dock.clock.now(), attempts=1)
        await dock.container.persistence().commit([Record(letter)])
        await dock.clock.advance(SEEN_SECONDS)
        dead = await readiness(dock)
        await dock.container.dead_letters().discard(letter.id)
        await dock.clock.advance(SEEN_SECONDS)

        assert dead == ("degraded", {"desk": "dead_letters"})
        assert await readiness(dock) == ("ready", {})


async def test_what_was_found_last_stays_told_while_the_storage_does_not_answer() -> None:
    """Else the log would say that it is well again, and its time would begin anew."""
    async with working() as dock:
        letter = a_task(attempts=1).died("no such mailbox", dock.clock.now(), attempts=1)
        await dock.container.persistence().commit([Record(letter)])
        await dock.clock.advance(SEEN_SECONDS)
        before = (await dock.client.get("/readyz")).json()["checks"]["desk"]
        dock.container.persistence().ledger.dead = _does_not_answer
        await dock.clock.advance(SEEN_SECONDS)

        assert before["cause"] == "dead_letters"
        assert (await dock.client.get("/readyz")).json()["checks"]["desk"] == before


async def _does_not_answer(**_: Any) -> None:
    raise Unavailable("the storage is away")


async def test_a_mailer_that_hangs_is_seen_and_so_is_its_end() -> None:
    gate = asyncio.Event()

    async def hangs(*_: Any) -> None:
        await gate.wait()

    async with working() as dock:
        mailer = dock.container.mailer()
        send, mailer.send = mailer.send, hangs
        await order(dock)
        await dock.clock.advance(SEEN_SECONDS)
        hanging = await readiness(dock)
        mailer.send = send
        gate.set()
        await dock.clock.advance(SEEN_SECONDS)

        assert hanging[1]["performers"] == "stuck"
        assert await readiness(dock) == ("ready", {})
