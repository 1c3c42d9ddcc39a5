"""A suite as a project writes it whose own use case stands on the ports of this one; `docs/testing.md` explains it."""

from uuid import UUID, uuid4

from domain.model.events import OrderConfirmed, OrderCreated
from domain.model.tasks import SendOrderConfirmation
from entrypoints.testing import OPERATOR_TOKEN, Crossdock
from ports.errors import Rejected, Unavailable
from tests.unit.testing_example.reorder_last import ReorderLast


async def test_the_latest_order_is_placed_again_and_confirmed(dock: Crossdock, ann: UUID) -> None:
    await dock.clock.advance(3600)

    answer = await dock.client.post(f"/users/{ann}/reorder")
    await dock.settle()

    again = (await dock.client.get(answer.headers["Location"])).json()
    assert answer.status_code == 201
    assert (again["status"], again["total"]) == ("confirmed", "19.80")
    assert again["created_at"] == "2026-11-23T06:00:00.000000Z"


async def test_the_order_is_told_to_others_and_confirmed_to_the_user_by_mail(dock: Crossdock, ann: UUID) -> None:
    order_id = UUID((await dock.client.post(f"/users/{ann}/reorder")).json()["id"])
    await dock.settle()

    assert [type(event) for event in dock.events[-2:]] == [OrderCreated, OrderConfirmed]
    assert isinstance(dock.tasks[-1], SendOrderConfirmation)
    assert dock.tasks[-1].order_id == order_id
    assert dock.mails[-1].subject == f"Your order {order_id} is confirmed"


async def test_nothing_is_told_before_it_is_carried(dock: Crossdock, ann: UUID) -> None:
    before = len(dock.events)

    await dock.client.post(f"/users/{ann}/reorder")

    assert len(dock.events) == before


async def test_the_use_case_can_be_called_without_http(dock: Crossdock, ann: UUID) -> None:
    container = dock.container
    reorder = ReorderLast(container.persistence().orders, container.unit_of_work(), container.clock(), container.ids())

    order = await reorder(ann)
    await dock.settle()

    stored = await container.get_order()(order.id)
    assert stored.confirmed_at == dock.clock.now()


async def test_a_user_without_an_order_is_told_so(dock: Crossdock) -> None:
    answer = await dock.client.post(f"/users/{uuid4()}/reorder")

    assert (answer.status_code, answer.json()["code"]) == (404, "order-not-found")
    assert dock.events == []


async def test_a_store_that_is_away_takes_nothing(dock: Crossdock, ann: UUID) -> None:
    dock.fail_next("persistence.commit", Unavailable("the disk is full"))

    answer = await dock.client.post(f"/users/{ann}/reorder")

    orders = (await dock.client.get("/orders/")).json()["items"]
    assert (answer.status_code, answer.json()["code"]) == (503, "storage-unavailable")
    assert len(orders) == 1


async def test_a_broker_that_is_away_holds_up_nobody(dock: Crossdock, ann: UUID) -> None:
    before = len(dock.events)
    dock.fail_next("event_broker.publish", Unavailable("the broker is away"))

    answer = await dock.client.post(f"/users/{ann}/reorder")
    await dock.settle()
    while_away = len(dock.events)
    await dock.settle()

    assert answer.status_code == 201
    assert (while_away, len(dock.events)) == (before, before + 2)


async def test_a_mail_server_that_is_away_costs_no_attempt(dock: Crossdock, ann: UUID) -> None:
    before = len(dock.mails)
    dock.fail_next("mailer.send", *[Unavailable("the mail server is away")] * 5)

    await dock.client.post(f"/users/{ann}/reorder")
    await dock.settle()
    while_away = len(dock.mails)
    for _ in range(5):
        await dock.clock.advance(10)
        await dock.settle()

    assert (while_away, len(dock.mails)) == (before, before + 1)
    assert await dock.dead_letters() == []


async def test_what_fails_too_often_waits_at_the_desk_until_it_is_replayed(dock: Crossdock, ann: UUID) -> None:
    before = len(dock.mails)
    dock.fail_next("mailer.send", ValueError("a bug"), ValueError("a bug"))

    await dock.client.post(f"/users/{ann}/reorder")
    await dock.settle()
    await dock.clock.advance(2)  # the delay before the second attempt: a second, more or less
    await dock.settle()

    (dead,) = await dock.dead_letters()
    assert (dead.name, dead.attempts, dead.reason) == ("send_order_confirmation", 2, "ValueError: a bug")
    assert len(dock.mails) == before

    await dock.container.dead_letters().replay(dead.id)
    await dock.settle()

    assert len(dock.mails) == before + 1
    assert await dock.dead_letters() == []


async def test_what_is_rejected_goes_to_the_desk_at_once_and_can_be_given_up(dock: Crossdock, ann: UUID) -> None:
    dock.fail_next("mailer.send", Rejected("no such mailbox"))
    as_operator = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}

    await dock.client.post(f"/users/{ann}/reorder")
    await dock.settle()

    (dead,) = (await dock.client.get("/operator/api/dead-letters", headers=as_operator)).json()["items"]
    assert (dead["lane"], dead["reason"], dead["attempts"]) == ("task", "no such mailbox", 1)

    answer = await dock.client.post(f"/operator/api/dead-letters/{dead['id']}/discard", headers=as_operator)

    assert answer.status_code == 200
    assert await dock.dead_letters() == []
