import pytest

from adapters.mailer.memory import MemoryMailer
from adapters.persistence.memory import MemoryPersistence
from domain.model.errors import UserNotFound
from domain.model.tasks import SendWelcomeEmail as Task
from domain.services.send_welcome_email import SendWelcomeEmail
from ports.errors import Rejected, Unavailable
from ports.persistence import AddUser
from tests.builders import a_user, an_id


@pytest.fixture
def send(persistence: MemoryPersistence, mailer: MemoryMailer) -> SendWelcomeEmail:
    return SendWelcomeEmail(persistence.users, mailer)


@pytest.mark.parametrize("name", ["Ann", None])
async def test_a_user_is_greeted_by_name_or_by_address(
    send: SendWelcomeEmail, persistence: MemoryPersistence, mailer: MemoryMailer, name: str | None
) -> None:
    user = a_user(name=name)
    await persistence.commit([AddUser(user)])
    task = Task(id=an_id(), user_id=user.id)

    await send(task)

    (mail,) = mailer.sent
    assert (mail.to, mail.subject, mail.message_id) == (user.email, "Welcome", f"<{task.id}@crossdock>")
    assert mail.text.startswith(f"Hello {name or user.email.address},")


async def test_another_attempt_bears_the_same_message_id(
    send: SendWelcomeEmail, persistence: MemoryPersistence, mailer: MemoryMailer
) -> None:
    user = a_user()
    await persistence.commit([AddUser(user)])
    task = Task(id=an_id(), user_id=user.id)

    await send(task)
    await send(task)
    await send(Task(id=an_id(), user_id=user.id))

    first, again, other = (mail.message_id for mail in mailer.sent)
    assert first == again != other


async def test_an_unknown_user_is_told(send: SendWelcomeEmail, mailer: MemoryMailer) -> None:
    with pytest.raises(UserNotFound):
        await send(Task(id=an_id(), user_id=an_id()))

    assert mailer.sent == []


@pytest.mark.parametrize("error", [Unavailable("away"), Rejected("no such mailbox")])
async def test_what_the_mailer_raises_is_passed_on(
    send: SendWelcomeEmail, persistence: MemoryPersistence, mailer: MemoryMailer, error: Unavailable | Rejected
) -> None:
    user = a_user()
    await persistence.commit([AddUser(user)])
    mailer.fail_next(error)

    with pytest.raises(type(error)):
        await send(Task(id=an_id(), user_id=user.id))
