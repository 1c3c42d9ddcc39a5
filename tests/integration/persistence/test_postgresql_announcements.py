import asyncio
from collections.abc import Awaitable, Callable, Collection

from asyncpg import Connection  # type: ignore[import-untyped]

from adapters.persistence.sql.postgresql import PostgresqlPersistence
from ports.deliveries import Lane
from ports.persistence import AddUser
from tests.builders import a_user

Open = Callable[[], Awaitable[PostgresqlPersistence]]

LISTENING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND query ILIKE '%LISTEN%' AND pid <> pg_backend_pid()
"""


class Heard:
    def __init__(self) -> None:
        self.lanes: list[Lane] = []

    def __call__(self, lanes: Collection[Lane]) -> None:
        self.lanes += lanes

    async def all_of(self, *lanes: Lane) -> None:
        async with asyncio.timeout(10):
            while not set(lanes) <= set(self.lanes):  # noqa: ASYNC110 - it comes from another process
                await asyncio.sleep(0.005)


async def listening(sql: Connection, count: int) -> None:
    """Return when so many connections listen."""
    async with asyncio.timeout(10):
        while await sql.fetchval(LISTENING) < count:  # noqa: ASYNC110 - they connect in the background
            await asyncio.sleep(0.005)


async def test_what_one_process_announces_others_hear(opened: Open, sql: Connection) -> None:
    one, other, third = await opened(), await opened(), await opened()
    heard, also, own = Heard(), Heard(), Heard()
    for store, listener in ((other, heard), (third, also), (one, own)):
        store.listen(listener)
    await listening(sql, 3)

    one.announce([Lane.EVENT])
    one.announce([Lane.TASK])

    await heard.all_of(Lane.EVENT, Lane.TASK)
    await also.all_of(Lane.EVENT, Lane.TASK)
    assert own.lanes == []
    assert Lane.RECEIVED not in heard.lanes


async def test_many_announcements_are_few_notifications(opened: Open, sql: Connection) -> None:
    one = await opened()
    said: list[str] = []
    await sql.add_listener("crossdock", lambda *heard: said.append(heard[-1]))

    for _ in range(1_000):
        one.announce([Lane.EVENT])
        await asyncio.sleep(0)

    async with asyncio.timeout(10):
        while not said:
            await sql.execute("SELECT 1")
    assert len(said) < 100


async def test_a_commit_does_not_wait_for_announcements(opened: Open, sql: Connection) -> None:
    one = await opened()
    one.announce([Lane.EVENT])
    await sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    one.announce([Lane.EVENT])

    await one.commit([AddUser(a_user())])


async def test_after_a_break_all_lanes_are_looked_at(opened: Open, sql: Connection) -> None:
    """Nobody knows what was announced meanwhile."""
    one, other = await opened(), await opened()
    heard = Heard()
    other.listen(heard)
    await listening(sql, 1)
    assert heard.lanes == []

    await sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND query ILIKE '%LISTEN%' AND pid <> pg_backend_pid()"
    )

    await heard.all_of(*Lane)
    heard.lanes.clear()
    one.announce([Lane.TASK])
    await heard.all_of(Lane.TASK)


async def test_what_others_say_on_the_channel_harms_nobody(opened: Open, sql: Connection) -> None:
    one = await opened()
    heard = Heard()
    one.listen(heard)
    await listening(sql, 1)

    for said in ("", "nonsense", "somebody weather event", "x" * 7_000):
        await sql.execute("SELECT pg_notify('crossdock', $1)", said)

    await heard.all_of(Lane.EVENT)
    assert set(heard.lanes) == {Lane.EVENT}
