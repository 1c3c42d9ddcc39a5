from collections.abc import Iterator

import pytest

from tests.integration.services.second_set import SecondSet
from tools.services.memcached import Memcached
from tools.services.redis import Redis


@pytest.fixture
def second_set() -> Iterator[SecondSet]:
    """Without servers at first; none is left at the end."""
    if lacking := [*Redis.missing(), *Memcached.missing()]:
        pytest.skip(f"not installed: {' '.join(lacking)}")
    servers = SecondSet()
    yield servers
    servers.do("down")
