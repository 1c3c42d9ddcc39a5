from domain.model.events import OrderConfirmed, OrderCreated, UserRegistered
from domain.model.tasks import SendOrderConfirmation, SendWelcomeEmail
from entrypoints.testing import Crossdock, crossdock

LINES = [{"sku": "A1", "quantity": 2, "unit_price": "9.90"}]


async def a_registered_user(dock: Crossdock, email: str = "ann@example.com") -> str:
    answer = await dock.client.post("/register-user/", json={"email": email})
    return str(answer.json()["id"])


async def a_placed_order(dock: Crossdock, user: str) -> str:
    answer = await dock.client.post("/orders/", json={"user_id": user, "currency": "EUR", "lines": LINES})
    return str(answer.json()["id"])


async def test_a_user_registers_and_an_order_is_placed_confirmed_and_told_of() -> None:
    async with crossdock() as dock:
        user = await a_registered_user(dock)
        order = await a_placed_order(dock, user)
        placed = (await dock.client.get(f"/orders/{order}")).json()

        await dock.settle()

        confirmed = (await dock.client.get(f"/orders/{order}")).json()
        assert (placed["status"], confirmed["status"]) == ("placed", "confirmed")
        assert confirmed | {"status": "placed"} == placed
        assert [type(event) for event in dock.events] == [UserRegistered, OrderCreated, OrderConfirmed]
        assert [(event.subject, event.sequence) for event in dock.events] == [(user, 1), (order, 1), (order, 2)]
        assert [task.name for task in dock.tasks] == [SendWelcomeEmail.name, SendOrderConfirmation.name]
        assert [mail.subject for mail in dock.mails] == ["Welcome", f"Your order {order} is confirmed"]
        assert [mail.message_id for mail in dock.mails] == [f"<{task.id}@crossdock>" for task in dock.tasks]


async def test_many_services_live_in_one_process_and_share_nothing() -> None:
    async with crossdock() as one, crossdock() as other:
        await a_registered_user(one)
        await one.settle()
        await other.settle()

        assert len(one.mails) == 1
        assert not other.mails
        assert (await other.client.post("/register-user/", json={"email": "ann@example.com"})).status_code == 201
