"""That each metric is there before anything happens, and moves when it does."""

import pytest

from domain.model.events import OrderConfirmed, OrderCreated, UserRegistered
from domain.model.tasks import SendOrderConfirmation, SendWelcomeEmail
from entrypoints.testing import Crossdock, crossdock
from ports.errors import Rejected, Unavailable
from ports.message import write_event
from tests.builders import a_message, a_user, an_id
from tests.unit.journeys.test_main_journey import a_placed_order, a_registered_user
from tests.unit.metrics.scrape import PAUSE, Scrape, scrape

ORDER_CREATED = {"topic": OrderCreated.topic, "name": OrderCreated.type}
WELCOME = {"lane": "task", "topic": "", "name": SendWelcomeEmail.name}


async def an_order(dock: Crossdock) -> None:
    await a_placed_order(dock, await a_registered_user(dock))


def moved(before: Scrape, after: Scrape) -> dict[tuple[str, str, str], float]:
    """By how much what is counted of deliveries has grown, where it has: by name, lane and name of the delivery."""
    return {
        (name, of["lane"], of["name"]): after.samples[name, labels] - before.samples.get((name, labels), 0.0)
        for name, labels in after.samples
        if name.endswith("_total")
        and {"lane", "name"} <= (of := dict(labels)).keys()
        and after.samples[name, labels] != before.samples.get((name, labels), 0.0)
    }


async def test_an_order_is_counted_at_each_of_its_stations_and_once() -> None:
    async with crossdock() as dock:
        before = await scrape(dock)

        await an_order(dock)
        await dock.settle()

        assert moved(before, await scrape(dock)) == {
            ("crossdock_recorded_total", "event", UserRegistered.type): 1,
            ("crossdock_recorded_total", "event", OrderCreated.type): 1,
            ("crossdock_recorded_total", "event", OrderConfirmed.type): 1,
            ("crossdock_recorded_total", "task", SendWelcomeEmail.name): 1,
            ("crossdock_recorded_total", "task", SendOrderConfirmation.name): 1,
            ("crossdock_delivered_total", "event", UserRegistered.type): 1,
            ("crossdock_delivered_total", "event", OrderCreated.type): 1,
            ("crossdock_delivered_total", "event", OrderConfirmed.type): 1,
            ("crossdock_delivered_total", "task", SendWelcomeEmail.name): 1,
            ("crossdock_delivered_total", "task", SendOrderConfirmation.name): 1,
            ("crossdock_received_total", "received", UserRegistered.type): 1,
            ("crossdock_received_total", "received", OrderCreated.type): 1,
            ("crossdock_received_total", "received", OrderConfirmed.type): 1,
            ("crossdock_handled_total", "received", OrderCreated.type): 1,
            ("crossdock_handled_total", "task", SendWelcomeEmail.name): 1,
            ("crossdock_handled_total", "task", SendOrderConfirmation.name): 1,
        }


async def test_the_time_from_the_commit_to_the_effect_is_told() -> None:
    async with crossdock() as dock:
        await an_order(dock)
        await dock.clock.advance(7)
        await dock.settle()

        after = await scrape(dock)

    name = "crossdock_effect_delay_seconds"
    assert after(f"{name}_sum", lane="received", **ORDER_CREATED) == pytest.approx(7)
    assert after(f"{name}_bucket", lane="received", le="5.0", **ORDER_CREATED) == 0
    assert after(f"{name}_bucket", lane="received", le="10.0", **ORDER_CREATED) == 1
    assert after(f"{name}_sum", **WELCOME) == pytest.approx(7)


async def test_what_waits_has_an_age_and_a_number_until_it_is_delivered() -> None:
    async with crossdock() as dock:
        await an_order(dock)
        await dock.clock.advance(20)

        waiting = await scrape(dock)
        await dock.settle()
        done = await scrape(dock)

    assert waiting("crossdock_oldest_due_age_seconds", lane="event") == pytest.approx(20 + PAUSE)
    assert waiting("crossdock_oldest_due_age_seconds", lane="task") == pytest.approx(20 + PAUSE)
    assert waiting("crossdock_deliveries", lane="event", state="ready") == 2
    for name in ("crossdock_oldest_due_age_seconds", "crossdock_deliveries", "crossdock_consumer_lag"):
        assert done(name) == 0


async def test_what_the_broker_holds_for_our_group_is_its_lag() -> None:
    async with crossdock() as dock:
        await a_registered_user(dock)
        broker = dock.container.event_broker()
        await broker.declare([UserRegistered.topic], dock.container.consumer_group())
        await dock.container.event_relay().step()

        held = await scrape(dock)

    assert held("crossdock_consumer_lag", topic=UserRegistered.topic) == 1
    assert held("crossdock_consumer_lag", topic=OrderCreated.topic) == 0


async def test_what_fails_is_counted_by_how_it_fails() -> None:
    async with crossdock() as dock:
        before = await scrape(dock)
        dock.fail_next("mailer.send", ValueError("a bug"), Unavailable("away"), Rejected("never"))

        await a_registered_user(dock)
        for _ in range(5):
            await dock.settle()
            await dock.clock.advance(5)

        grown = moved(before, await scrape(dock))
        for step in ("failed", "postponed", "dead"):
            assert grown[f"crossdock_{step}_total", "task", SendWelcomeEmail.name] == 1
        assert ("crossdock_handled_total", "task", SendWelcomeEmail.name) not in grown


async def test_a_reaction_that_fails_and_works_later_is_counted_as_both() -> None:
    async with crossdock() as dock:
        before = await scrape(dock)
        works = dock.container.reactions()[OrderCreated]
        failures = [ValueError("a bug")]

        async def fails_first(*given: object) -> None:
            if failures:
                raise failures.pop()
            await works(*given)

        dock.container.receive()._reactions = dock.container.retry()._reactions = {OrderCreated: fails_first}
        await an_order(dock)
        await dock.settle()
        await dock.clock.advance(5)
        await dock.settle()

        grown = moved(before, await scrape(dock))

    assert grown["crossdock_failed_total", "received", OrderCreated.type] == 1
    assert grown["crossdock_handled_total", "received", OrderCreated.type] == 1


async def test_what_comes_again_and_what_cannot_be_read_is_counted() -> None:
    event = write_event(UserRegistered.of(a_user(), id=an_id()))
    broken = a_message(b"no JSON", type=OrderCreated.type)
    async with crossdock() as dock:
        await dock.settle()
        before = await scrape(dock)

        await dock.container.event_broker().publish([broken, broken, event, event])
        await dock.settle()
        await dock.container.event_broker().publish([broken])
        await dock.settle()

        assert moved(before, await scrape(dock)) == {
            ("crossdock_received_total", "received", UserRegistered.type): 2,
            ("crossdock_received_total", "received", OrderCreated.type): 3,
            ("crossdock_dead_total", "received", OrderCreated.type): 1,
            ("crossdock_repeated_total", "received", OrderCreated.type): 2,
        }


async def test_requests_are_counted_by_their_route_and_those_in_flight_are_told() -> None:
    async with crossdock() as dock:
        await an_order(dock)
        await dock.client.get("/orders/1")

        after = await scrape(dock)

    assert after("crossdock_http_requests_total", route="/orders/", method="POST", status="201") == 1
    assert after("crossdock_http_requests_total", route="/orders/{id}", method="GET", status="404") == 1
    assert after("crossdock_http_request_duration_seconds_count", route="/orders/", method="POST") == 1
    assert after("crossdock_http_requests_in_flight") == 1  # the scrape itself


async def test_the_weather_is_counted_by_its_provider() -> None:
    async with crossdock() as dock:
        await dock.clock.run(dock.client.get("/weather/Lisbon"))
        await dock.clock.run(dock.client.get("/weather/Lisbon"))

        after = await scrape(dock)

    assert after("crossdock_outside_calls_total", api="sample", outcome="answered") == 1
    assert after("crossdock_outside_recalls_total", found="fresh") == 1
