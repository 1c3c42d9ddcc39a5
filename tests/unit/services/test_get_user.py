import pytest

from adapters.persistence.memory import MemoryPersistence
from domain.model.errors import UserNotFound
from domain.services.get_user import GetUser
from ports.persistence import AddUser
from tests.builders import a_user, an_id


async def test_a_user_is_found_by_its_id(persistence: MemoryPersistence) -> None:
    user = a_user()
    await persistence.commit([AddUser(user), AddUser(a_user())])

    assert await GetUser(persistence.users)(user.id) == user


async def test_an_unknown_id_is_told(persistence: MemoryPersistence) -> None:
    with pytest.raises(UserNotFound):
        await GetUser(persistence.users)(an_id())
