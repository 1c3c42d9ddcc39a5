"""What one begins and all wait for bears nobody's request, message or trace."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, cast

import pytest

from adapters.event_broker.kafka.connection import Farewells, Kept
from adapters.event_broker.memory import MemoryEventBroker
from adapters.event_broker.rabbitmq.connection import Connection
from adapters.event_broker.rabbitmq.line import Address, Line
from adapters.http_client import HttpClient
from adapters.identity.oidc.issuer import Issuer
from adapters.ids import UuidV7Ids
from adapters.persistence.memory import MemoryPersistence
from adapters.persistence.sql.group_commit import GroupCommit
from adapters.persistence.sql.loader import Loader
from adapters.persistence.sql.readers import Engine, SqlLedger
from domain.delivery.stages import Stage, Stages
from entrypoints.backlog import Backlog
from entrypoints.health import HealthCheck
from entrypoints.web.operator_live import Live
from ports.clock import Clock
from ports.errors import Unavailable
from ports.log_context import CURRENT_REQUEST_ID, Handled, Handling, handled
from ports.persistence import Ledger, Persistence
from ports.shared_work import begin_shared
from ports.trace_context import TraceContext, current
from tests.clock import ManualClock
from tests.logged import for_request

MESSAGE = Handled("m-1", trace=TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))


class Seen:
    """Notes for whom it is asked, each time that it is."""

    def __init__(self) -> None:
        self.by: list[tuple[Any, ...]] = []

    def look(self) -> None:
        self.by.append((handled(), current(), CURRENT_REQUEST_ID.get()))

    async def __call__(self, *_: Any, **__: Any) -> Any:
        self.look()
        return []


class Watched:
    """Something all of whose calls are seen before they are made."""

    def __init__(self, inner: object, seen: Seen) -> None:
        self._inner = inner
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        self._seen.look()
        return getattr(self._inner, name)


class WatchedPersistence(MemoryPersistence):
    def __init__(self, clock: Clock, seen: Seen) -> None:
        super().__init__(clock)
        self.ledger = cast("Ledger", Watched(self.ledger, seen))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock, seen: Seen) -> AsyncIterator[Persistence]:
    store = WatchedPersistence(clock, seen)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
def seen() -> Seen:
    return Seen()


async def for_a_request(work: Awaitable[Any]) -> None:
    """Await it, as one who handles a message of a traced request does."""
    with for_request("r-1"), Handling(MESSAGE):
        await work


def nobody(seen: Seen) -> bool:
    """Whether it was asked, and for nobody whenever it was."""
    return seen.by != [] and all(by == (None, None, None) for by in seen.by)


async def test_shared_work_begins_at_once_and_gives_its_result() -> None:
    async def work() -> str:
        return "done"

    assert await begin_shared(work()) == "done"


async def test_a_group_of_units_is_written_for_nobody(seen: Seen) -> None:
    async def write(units: Sequence[object], _: object) -> Sequence[None]:
        seen.look()
        return [None] * len(units)

    commit = GroupCommit(write, most_units=8)

    await for_a_request(commit([], 1))

    assert nobody(seen)


async def test_lookups_of_one_moment_are_made_for_nobody(seen: Seen) -> None:
    await for_a_request(Loader(seen)("id"))

    assert nobody(seen)


async def test_deliveries_are_counted_for_nobody(seen: Seen) -> None:
    class Counting:
        rows = seen

    await for_a_request(SqlLedger(cast("Engine", Counting())).counts())

    assert nobody(seen)


async def test_the_backlog_is_asked_for_nobody(store: Persistence, clock: ManualClock, seen: Seen) -> None:
    broker = MemoryEventBroker(UuidV7Ids(clock), partitions=1)

    await for_a_request(Backlog(store, broker, clock, topics=[], group="crossdock").waiting())

    assert nobody(seen)


async def test_stages_are_looked_at_for_nobody(store: Persistence, clock: ManualClock, seen: Seen) -> None:
    stages = Stages(store, clock, list(Stage), partitions=1, group="crossdock")

    await for_a_request(stages.trouble(Stage.PUBLISHING))

    assert nobody(seen)


async def test_health_is_looked_at_for_nobody(clock: ManualClock, seen: Seen) -> None:
    health = HealthCheck(clock)
    health.ask("storage", cast("Callable[[], Awaitable[object]]", seen), otherwise="unavailable")

    await for_a_request(health.check())

    assert nobody(seen)


async def test_the_keys_of_an_issuer_are_fetched_for_nobody(clock: ManualClock, seen: Seen) -> None:
    class AwayClient:
        async def get(self, *_: object) -> None:
            seen.look()
            raise Unavailable("out of reach")

    issuer = Issuer("https://issuer.example", http=cast("HttpClient", AwayClient()), clock=clock)

    with pytest.raises(Unavailable):
        await for_a_request(issuer.keys_for("key-1", "RS256"))

    assert nobody(seen)


async def test_rabbitmq_is_connected_to_for_nobody(seen: Seen) -> None:
    class AwayAddress(Address):
        async def connect(self, purpose: str) -> Connection:
            seen.look()
            raise Unavailable(f"out of reach for {purpose}")

    address = AwayAddress("amqp://localhost", ca_file=None, certificate_file=None, key_file=None)
    line = Line(address, "publishing")
    line.open()

    with pytest.raises(Unavailable):
        await for_a_request(line.connection(seconds=10))

    assert nobody(seen)


async def test_a_client_of_kafka_that_is_kept_is_made_for_nobody(seen: Seen) -> None:
    async def close(_: object) -> None: ...

    kept: Kept[object] = Kept(seen, close, Farewells())
    kept.open()

    await for_a_request(kept.get(seconds=10))

    assert nobody(seen)


async def test_a_page_that_is_kept_up_to_date_is_so_for_nobody(clock: ManualClock, seen: Seen) -> None:
    live = Live(seen, clock)

    async def watch() -> None:
        with live.stream() as stream:
            await stream.take()

    await for_a_request(watch())

    assert nobody(seen)
