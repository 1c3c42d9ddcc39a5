"""That nobody can make series without end, or hold up a scrape."""

import asyncio

import pytest

from domain.model.events import EVENT_TYPES
from domain.model.tasks import TASK_TYPES
from entrypoints.backlog import ANSWER_SECONDS, Backlog
from entrypoints.container import TOPICS
from entrypoints.metrics.process import pools
from entrypoints.testing import Crossdock, crossdock
from ports.deliveries import Lane
from ports.delivery_counts import OTHER, DeliveryCounts, Step
from ports.errors import Unavailable
from tests.builders import a_message
from tests.unit.metrics.scrape import scrape

MANY = 60


async def ask_oddly(dock: Crossdock, number: int) -> None:
    client = dock.client
    await client.get(f"/nowhere/{number}?page={number}")
    await client.get(f"/orders/{number}")
    await client.get(f"/orders/{number}/lines/{number}")
    await client.request(f"BREW{number}", "/orders/")
    await client.get("/users/x", headers={"Host": f"host{number}", "X-Request-ID": f"r{number}"})
    await client.post("/orders/", content=b"{" * number, headers={"Content-Type": f"text/{number}"})
    await dock.clock.run(client.get(f"/weather/City{number}"))


async def test_hostile_requests_make_no_series_of_their_own() -> None:
    async with crossdock() as dock:
        await ask_oddly(dock, 1)
        few = await scrape(dock)

        for number in range(2, MANY):
            await ask_oddly(dock, number)

        many = await scrape(dock)
        assert many.series() - few.series() == {key for key in many.series() if dict(key[1]).get("route") == "/metrics"}
        assert many("crossdock_http_requests_total", route="unmatched") >= MANY - 1


async def test_hostile_messages_make_no_series_of_their_own() -> None:
    async with crossdock() as dock:
        await dock.settle()
        await dock.container.event_broker().publish([a_message(type="shop.basket.filled.v1")])
        await dock.settle()
        few = await scrape(dock)

        for number in range(MANY):
            odd = [
                a_message(type=f"shop.basket.filled.v{number}", source=f"shop-{number}", subject=f"s{number}"),
                a_message(type=f"crossdock.order.created.v{number + 2}"),
                a_message(type="", id=""),
            ]
            await dock.container.event_broker().publish(odd)
        await dock.settle()

        many = await scrape(dock)
        assert many.series("crossdock_http") == few.series("crossdock_http")
        assert many("crossdock_passed_over_total", name=OTHER) > MANY
        assert many("crossdock_dead_total", name=OTHER) == 2 * MANY
        known = {event.type for event in EVENT_TYPES} | {task.name for task in TASK_TYPES}
        assert many.values_of("name") <= known | {OTHER}


def test_what_is_not_ours_is_counted_under_one_name() -> None:
    counts = DeliveryCounts()
    size = len(counts.steps)

    for number in range(MANY):
        counts.counted(Step.RECEIVED, Lane.RECEIVED, f"topic-{number}", f"name-{number}")
        counts.handled(Lane.TASK, "", f"task-{number}", 1.0)

    assert counts.steps[Step.RECEIVED, Lane.RECEIVED, OTHER, OTHER] == MANY
    assert list(counts.effects) == [(Lane.TASK, "", OTHER)]
    assert len(counts.steps) == size + 2


async def test_storage_and_broker_are_asked_once_however_many_scrape() -> None:
    async with crossdock() as dock:
        asked = []
        ledger, broker = dock.container.persistence().ledger, dock.container.event_broker()
        for part, call in ((ledger, "counts"), (ledger, "due_since"), (broker, "backlog")):
            asked.append(counting(part, call))

        await asyncio.gather(*(dock.client.get("/metrics") for _ in range(5)))
        await dock.client.get("/metrics")

        assert [len(calls) for calls in asked] == [1, 1, len(TOPICS)]

        await dock.clock.advance(3)
        await dock.client.get("/metrics")

        assert [len(calls) for calls in asked] == [2, 2, 2 * len(TOPICS)]


def counting(part: object, call: str) -> list[str]:
    works, calls = getattr(part, call), []

    async def counted(*given: object) -> object:
        calls.append(call)
        return await works(*given)

    setattr(part, call, counted)
    return calls


async def test_what_is_out_of_reach_is_left_out_and_the_rest_is_told() -> None:
    async with crossdock() as dock:
        dock.fail_next("event_broker.backlog", *[Unavailable("away")] * len(TOPICS))

        told = await scrape(dock)

        assert "crossdock_consumer_lag" not in told.text
        assert told("crossdock_storage_up") == 1
        assert told("crossdock_oldest_due_age_seconds") == 0


async def test_who_hangs_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrypoints.backlog.ANSWER_SECONDS", ANSWER_SECONDS / 100)
    async with crossdock() as dock:
        container = dock.container
        broker = container.event_broker()
        backlog = Backlog(container.persistence(), broker, dock.clock, topics=TOPICS, group="crossdock")

        async def hang(*_: object) -> int:
            await asyncio.Event().wait()
            return 0

        broker.backlog = hang
        found = await backlog.waiting()

    assert found.lag is None
    assert found.overdue is not None


async def test_a_process_that_has_nothing_to_do_with_the_broker_leaves_it_alone() -> None:
    async with crossdock() as dock:
        dock.container.backlog().leave_broker_alone()
        asked = counting(dock.container.event_broker(), "backlog")

        told = await scrape(dock)

        assert asked == []
        assert "crossdock_consumer_lag" not in told.text


async def test_the_connections_of_each_part_are_told_by_its_name() -> None:
    class Drawing:
        @property
        def pools(self) -> dict[str, tuple[int, int]]:
            return {"wells": (3, 16)}

    in_use, size = await pools([object(), Drawing()])

    assert (in_use.values, size.values) == ({("wells",): 3}, {("wells",): 16})
