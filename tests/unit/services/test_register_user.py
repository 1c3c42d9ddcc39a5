import pytest

from adapters.persistence.memory import MemoryPersistence
from domain.delivery.unit_of_work import Recording
from domain.model.email import Email
from domain.model.errors import EmailAlreadyRegistered, InvalidValue
from domain.model.events import UserRegistered
from domain.model.tasks import SendWelcomeEmail
from domain.services.register_user import RegisterUser
from ports.ids import Ids
from tests.builders import an_email
from tests.clock import ManualClock
from tests.unit.services.recorded import events, tasks


@pytest.fixture
def register_user(unit_of_work: Recording, clock: ManualClock, ids: Ids) -> RegisterUser:
    return RegisterUser(unit_of_work, clock, ids)


async def test_a_user_is_registered_and_it_is_told_and_a_welcome_asked_for(
    register_user: RegisterUser, persistence: MemoryPersistence, clock: ManualClock
) -> None:
    user = await register_user(Email("Ann@Example.com"), " Ann ")

    assert (user.email.address, user.name, user.registered_at) == ("ann@example.com", "Ann", clock.now())
    assert await persistence.users.get(user.id) == user
    (event,) = await events(persistence)
    assert isinstance(event, UserRegistered)
    assert event == UserRegistered.of(user, id=event.id)
    assert event.sequence == 1
    (task,) = await tasks(persistence, clock)
    assert task == SendWelcomeEmail(id=task.id, user_id=user.id)


async def test_a_name_is_optional(register_user: RegisterUser) -> None:
    assert (await register_user(an_email(), None)).name is None


async def test_an_address_that_is_taken_is_refused_and_nothing_is_recorded(
    register_user: RegisterUser, persistence: MemoryPersistence
) -> None:
    await register_user(Email("ann@example.com"), None)
    before = await persistence.ledger.counts()

    with pytest.raises(EmailAlreadyRegistered):
        await register_user(Email("ANN@example.com"), None)

    assert await persistence.ledger.counts() == before


async def test_a_name_that_forges_a_line_is_refused(register_user: RegisterUser) -> None:
    with pytest.raises(InvalidValue):
        await register_user(an_email(), "Ann\r\nBcc: everyone@example.com")
