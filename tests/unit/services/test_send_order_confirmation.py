import pytest

from adapters.mailer.memory import MemoryMailer
from adapters.persistence.memory import MemoryPersistence
from domain.model.errors import OrderNotFound, UserNotFound
from domain.model.tasks import SendOrderConfirmation as Task
from domain.services.send_order_confirmation import SendOrderConfirmation
from ports.errors import Rejected, Unavailable
from ports.persistence import AddOrder, AddUser, Orders
from tests.builders import a_line, a_user, an_id, an_order


@pytest.fixture
def send(persistence: MemoryPersistence, mailer: MemoryMailer) -> SendOrderConfirmation:
    return SendOrderConfirmation(persistence.users, persistence.orders, mailer)


async def test_the_mail_names_the_order_its_lines_and_its_total(
    send: SendOrderConfirmation, persistence: MemoryPersistence, mailer: MemoryMailer
) -> None:
    user = a_user(name="Ann")
    order = an_order(a_line("tea-1", 2, "9.90"), a_line("cup-7", 1, "0.20"), user=user)
    await persistence.commit([AddUser(user), AddOrder(order)])
    task = Task(id=an_id(), order_id=order.id)

    await send(task)

    (mail,) = mailer.sent
    assert (mail.to, mail.message_id) == (user.email, f"<{task.id}@crossdock>")
    assert str(order.id) in mail.subject
    for said in ("Hello Ann,", "2 x tea-1 at 9.90", "1 x cup-7 at 0.20", "Total: 20.00 EUR"):
        assert said in mail.text


async def test_an_unknown_order_is_told(send: SendOrderConfirmation, mailer: MemoryMailer) -> None:
    with pytest.raises(OrderNotFound):
        await send(Task(id=an_id(), order_id=an_id()))

    assert mailer.sent == []


async def test_a_user_who_is_gone_is_told(persistence: MemoryPersistence, mailer: MemoryMailer) -> None:
    user = a_user()
    order = an_order(user=user)
    await persistence.commit([AddUser(user), AddOrder(order)])
    elsewhere = MemoryPersistence(persistence._store.clock)
    await elsewhere.start()
    orders: Orders = persistence.orders

    with pytest.raises(UserNotFound):
        await SendOrderConfirmation(elsewhere.users, orders, mailer)(Task(id=an_id(), order_id=order.id))


@pytest.mark.parametrize("error", [Unavailable("away"), Rejected("no such mailbox")])
async def test_what_the_mailer_raises_is_passed_on(
    send: SendOrderConfirmation, persistence: MemoryPersistence, mailer: MemoryMailer, error: Unavailable | Rejected
) -> None:
    user = a_user()
    order = an_order(user=user)
    await persistence.commit([AddUser(user), AddOrder(order)])
    mailer.fail_next(error)

    with pytest.raises(type(error)):
        await send(Task(id=an_id(), order_id=order.id))
