"""What fails is seen, holds up only what comes after it of its subject, and is cured by a replay, in order."""

from dataclasses import replace
from uuid import UUID

from domain.model.events import OrderCreated
from domain.model.order import Order
from entrypoints.testing import OPERATOR_TOKEN, Crossdock, crossdock
from ports.message import write_event
from ports.persistence import AddOrder
from tests.builders import a_user, an_order
from tests.unit.journeys.test_main_journey import a_placed_order, a_registered_user

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


async def the_desk(dock: Crossdock) -> list[dict[str, object]]:
    answer = await dock.client.get("/operator/api/dead-letters", headers=OPERATOR)
    items: list[dict[str, object]] = answer.json()["items"]
    return items


async def replay(dock: Crossdock, id: object) -> int:
    return (await dock.client.post(f"/operator/api/dead-letters/{id}/replay", headers=OPERATOR)).status_code


async def publish_created(dock: Crossdock, order: Order, **changes: object) -> None:
    """As another system would that announces an order here."""
    event = OrderCreated.of(order, id=dock.container.ids().new())
    message = write_event(replace(event, **changes))  # type: ignore[arg-type]
    (outcome,) = await dock.container.event_broker().publish([message])
    assert outcome is None


async def test_a_mail_that_cannot_be_sent_waits_at_the_desk_and_goes_out_when_replayed() -> None:
    async with crossdock(CROSSDOCK_MAX_ATTEMPTS="2") as dock:
        dock.fail_next("mailer.send", ValueError("no such template"), ValueError("no such template"))
        await a_registered_user(dock, "ann@example.com")
        await dock.settle()
        await dock.clock.advance(2)
        await a_registered_user(dock, "bob@example.com")
        await dock.settle()
        (letter,) = await the_desk(dock)
        told = [mail.to.address for mail in dock.mails]

        status = await replay(dock, letter["id"])
        await dock.settle()

        assert (letter["lane"], letter["name"], letter["attempts"]) == ("task", "send_welcome_email", 2)
        assert letter["reason"] == "ValueError: no such template"
        assert told == ["bob@example.com"]
        assert status == 200
        assert [mail.to.address for mail in dock.mails] == ["bob@example.com", "ann@example.com"]
        assert not await the_desk(dock)


async def test_an_event_that_cannot_be_handled_blocks_its_subject_alone_until_it_is_replayed() -> None:
    async with crossdock(CROSSDOCK_MAX_ATTEMPTS="1") as dock:
        user = await a_registered_user(dock)
        await dock.settle()
        unknown = replace(an_order(user=a_user()), user_id=UUID(user))
        await publish_created(dock, unknown)
        await dock.settle()
        await publish_created(dock, unknown, sequence=2)
        other = await a_placed_order(dock, user)
        await dock.settle()
        (letter,) = await the_desk(dock)
        status_of_other = (await dock.client.get(f"/orders/{other}")).json()["status"]

        await dock.container.persistence().commit([AddOrder(unknown)])  # what it waited for is there now
        await replay(dock, letter["id"])
        await dock.settle()

        assert (letter["lane"], letter["subject"]) == ("received", str(unknown.id))
        assert letter["reason"] == "There is no order with this id."
        assert status_of_other == "confirmed"
        assert (await dock.client.get(f"/orders/{unknown.id}")).json()["status"] == "confirmed"
        assert [event.sequence for event in dock.events if event.subject == str(unknown.id)] == [1, 2, 2]
        assert not await the_desk(dock)


async def test_what_is_discarded_lets_the_next_of_its_subject_go_on() -> None:
    async with crossdock(CROSSDOCK_MAX_ATTEMPTS="1") as dock:
        user = await a_registered_user(dock)
        order = replace(an_order(user=a_user()), user_id=UUID(user))
        await dock.settle()
        await publish_created(dock, order)
        await dock.settle()
        await publish_created(dock, order, sequence=2)
        await dock.settle()
        (letter,) = await the_desk(dock)
        await dock.container.persistence().commit([AddOrder(order)])

        await dock.client.post(f"/operator/api/dead-letters/{letter['id']}/discard", headers=OPERATOR)
        await dock.settle()

        assert (await dock.client.get(f"/orders/{order.id}")).json()["status"] == "confirmed"
        assert not await the_desk(dock)
        assert await replay(dock, letter["id"]) == 404
