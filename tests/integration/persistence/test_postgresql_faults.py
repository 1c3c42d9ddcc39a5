"""A server that is killed, frozen or cut off at the worst moment, and what callers are told then."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from asyncpg import Connection, connect, exceptions  # type: ignore[import-untyped]

from adapters.persistence.sql.postgresql import PostgresqlPersistence
from adapters.persistence.sql.postgresql_connections import Connections, Server
from domain.model.user import User
from ports.errors import Unavailable, Unknown
from ports.persistence import AddOrder, AddUser, Record, Traffic, Write
from tests.builders import a_delivery, a_user, an_id, an_order
from tests.clock import ManualClock
from tests.contracts.persistence_parts.cases import a_stored_user
from tests.integration.persistence.relay import Relay
from tools.services.postgresql import PostgreSQL

COMMITTERS = 32
IN_TIME = 4.5  # a commit has 4 s, and the machine is busy


@asynccontextmanager
async def opened(url: str, *, readers: int = 8) -> AsyncIterator[PostgresqlPersistence]:
    persistence = PostgresqlPersistence(url, ManualClock(), readers=readers)
    await persistence.start()
    try:
        yield persistence
    finally:
        await persistence.stop()


def through(url: str, port: int) -> str:
    """The same database, seen through a relay."""
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}", query="sslmode=disable")
    )


async def outcome_of(attempt: Awaitable[object]) -> type[BaseException] | None:
    try:
        await attempt
    except (Unavailable, Unknown) as error:
        return type(error)
    return None


async def test_a_connection_that_is_cut_off_between_two_steps_counts_as_lost(url: str) -> None:
    """asyncpg prepares, is cut off, and then looks for a protocol that is gone: that is no fault of a program."""
    connections = Connections(Server(url), 1)

    async def cut_off() -> None:
        async with connections.lend(5) as connection:
            connection.terminate()
            await connection._execute("SELECT 1", (), 0, None)  # an AttributeError

    with pytest.raises(exceptions.ConnectionDoesNotExistError):
        await cut_off()

    async with connections.lend(5) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await connections.close()


async def test_what_a_burst_needed_is_given_back_to_the_server(url: str) -> None:
    """Connections that have been idle for long are closed when another one comes back."""
    connections = Connections(Server(url), 3, idle_seconds=0.0)
    async with connections.lend(5) as first, connections.lend(5) as second, connections.lend(5) as third:
        burst = [first, second, third]

    async with connections.lend(5) as connection:
        assert await connection.fetchval("SELECT 1") == 1

    assert [one for one in burst if not one.is_closed()] == [connection]
    await connections.close()


async def test_what_was_in_use_a_moment_ago_stays_open(url: str) -> None:
    connections = Connections(Server(url), 2, idle_seconds=60)
    async with connections.lend(5) as first, connections.lend(5) as second:
        pass

    async with connections.lend(5) as connection:
        assert connection is first  # the one that came back last

    assert not first.is_closed()
    assert not second.is_closed()
    await connections.close()


# --- answers that are lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("traffic", Traffic)
async def test_a_commit_whose_answer_was_lost_is_known_to_be_done(url: str, traffic: Traffic) -> None:
    relay = Relay(urlsplit(url).port or 0)
    async with relay.listening() as port, opened(through(url, port)) as persistence:
        await persistence.commit([AddUser(a_user())], traffic=traffic)
        user = a_user()
        relay.lose_answer = True

        await persistence.commit([AddUser(user)], traffic=traffic)

        assert relay.lost == 1
        assert await persistence.users.get(user.id) == user


async def test_a_commit_that_never_arrived_is_known_not_to_be_done_and_is_done(url: str) -> None:
    relay = Relay(urlsplit(url).port or 0)
    async with relay.listening() as port, opened(through(url, port)) as persistence:
        await persistence.commit([AddUser(a_user())])
        user = a_user()
        relay.lose_question = True

        await persistence.commit([AddUser(user)])

        assert relay.lost == 1
        assert await persistence.users.get(user.id) == user


async def test_who_has_no_time_for_that_is_told_that_nothing_was_written(url: str) -> None:
    relay = Relay(urlsplit(url).port or 0)
    async with relay.listening() as port, opened(through(url, port)) as persistence:
        await persistence.commit([AddUser(a_user())])
        user = a_user()
        relay.lose_question = True

        with pytest.raises(Unavailable, match="nothing was written"):
            await persistence.commit([AddUser(user)], seconds=0.4)

        assert await persistence.users.get(user.id) is None


async def test_a_commit_that_still_runs_when_its_connection_is_lost_is_waited_for(url: str, sql: Connection) -> None:
    """It is in the middle of its work, held up by another: what becomes of it is not known before it ends."""
    relay = Relay(urlsplit(url).port or 0)
    async with relay.listening() as port, opened(through(url, port)) as persistence:
        user = await a_stored_user(persistence)
        await persistence.commit([AddOrder(an_order(user=user)), Record(a_delivery())])
        order, delivery = an_order(user=user), a_delivery()
        transaction = sql.transaction()
        await transaction.start()
        await sql.execute("SELECT pg_advisory_xact_lock(4963102001)")  # as if somebody blocked something
        committing = asyncio.create_task(persistence.commit([AddOrder(order), Record(delivery)]))
        async with asyncio.timeout(5):
            while not await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.002)

        relay.lose_answer = True
        await transaction.rollback()

        await committing
        assert relay.lost == 1
        assert await persistence.orders.get(order.id) == order
        assert await persistence.ledger.get(delivery.id) is not None


async def test_a_lost_answer_of_a_group_is_known_for_each_of_its_units(url: str) -> None:
    relay = Relay(urlsplit(url).port or 0)
    async with relay.listening() as port, opened(through(url, port)) as persistence:
        await asyncio.gather(*(persistence.commit([AddUser(a_user())]) for _ in range(20)))
        users = [a_user() for _ in range(20)]
        relay.lose_answer = True

        await asyncio.gather(*(persistence.commit([AddUser(user)]) for user in users))

        assert relay.lost == 1
        for user in users:
            assert await persistence.users.get(user.id) == user


# --- servers that say nothing -----------------------------------------------------------------------------------------


async def test_a_frozen_server_is_told_in_time_and_comes_back_by_itself(server: PostgreSQL) -> None:
    async with opened(server.address) as persistence:
        await asyncio.to_thread(server.freeze)
        began = time.monotonic()
        users = [a_user() for _ in range(COMMITTERS)]

        outcomes = await asyncio.gather(
            *(outcome_of(persistence.commit([AddUser(user)])) for user in users),
            outcome_of(persistence.ping()),
            outcome_of(persistence.users.get(an_id())),
            outcome_of(persistence.leases.take(["relay/0"], holder="a", seconds=1)),
        )

        assert time.monotonic() - began < IN_TIME
        assert None not in outcomes
        await asyncio.to_thread(server.thaw)
        await _goes_on(persistence)
        for user, outcome in zip(users, outcomes, strict=False):
            assert outcome is Unknown or await persistence.users.get(user.id) is None


async def test_a_black_hole_is_told_in_time(url: str) -> None:
    """Packets vanish, and nobody says that they do."""
    relay = Relay(urlsplit(url).port or 0)
    async with relay.listening() as port, opened(through(url, port)) as persistence:
        relay.silent = True
        began = time.monotonic()

        outcomes = await asyncio.gather(
            *(outcome_of(persistence.commit([AddUser(a_user())], traffic=traffic)) for traffic in Traffic),
            outcome_of(persistence.ping()),
        )
        late = await outcome_of(persistence.commit([AddUser(a_user())], seconds=1))

        assert time.monotonic() - began < IN_TIME + 1
        assert None not in outcomes
        assert late is not None
        relay.silent = False
        await _goes_on(persistence)


async def test_stopping_on_a_frozen_server_ends(server: PostgreSQL) -> None:
    persistence = PostgresqlPersistence(server.address, ManualClock())
    await persistence.start()
    await asyncio.to_thread(server.freeze)
    committing = [asyncio.create_task(outcome_of(persistence.commit([AddUser(a_user())]))) for _ in range(5)]
    await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await persistence.stop()
        assert None not in await asyncio.gather(*committing)

    await asyncio.to_thread(server.thaw)


# --- a restart under load ---------------------------------------------------------------------------------------------


async def test_nothing_is_lost_or_half_done_when_the_server_is_killed_under_load(server: PostgreSQL) -> None:
    """Bookkeeping may be lost, but not by halves."""
    told: dict[type[BaseException] | None, list[User]] = {None: [], Unavailable: [], Unknown: []}
    kept: list[User] = []
    over = asyncio.Event()
    async with opened(server.address) as persistence:

        async def commit_on_and_on(number: int) -> None:
            traffic = list(Traffic)[number % 3]
            while not over.is_set():
                user = a_user()
                unit: list[Write] = [AddUser(user), AddOrder(an_order(user=user)), Record(a_delivery(id=str(user.id)))]
                began = time.monotonic()
                outcome = await outcome_of(persistence.commit(unit, traffic=traffic))
                assert time.monotonic() - began < IN_TIME
                told[outcome].append(user)
                if outcome is None and traffic is not Traffic.BOOKKEEPING:
                    kept.append(user)
                if outcome is not None:
                    await asyncio.sleep(0.01)

        committing = [asyncio.create_task(commit_on_and_on(number)) for number in range(COMMITTERS)]
        for _ in range(2):
            await _more(told[None], 200)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await _more(told[None], 200)  # unaided
        over.set()
        await asyncio.gather(*committing)

    stored = await _stored(server.address)
    assert {str(user.id) for user in kept} <= stored["users"]
    assert stored["users"].isdisjoint(str(user.id) for user in told[Unavailable])
    assert stored["users"] <= {str(user.id) for user in (*told[None], *told[Unknown])}
    assert stored["users"] == stored["orders"] == stored["deliveries"]


async def _more(users: list[User], count: int) -> None:
    wanted = len(users) + count
    async with asyncio.timeout(30):
        while len(users) < wanted:  # noqa: ASYNC110 - a server has to come back
            await asyncio.sleep(0.01)


async def _stored(url: str) -> dict[str, set[str]]:
    connection = await connect(url)
    columns = {"users": "id", "orders": "user_id", "deliveries": "id"}
    found = {
        table: {row[0] for row in await connection.fetch(f"SELECT {column} FROM {table}")}
        for table, column in columns.items()
    }
    await connection.close()
    return found


async def _goes_on(persistence: PostgresqlPersistence) -> None:
    async with asyncio.timeout(15):
        while await outcome_of(persistence.commit([AddUser(a_user())])) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await persistence.ping()


async def test_connections_that_an_operator_ended_are_replaced(url: str, sql: Connection) -> None:
    async with opened(url) as persistence:
        await asyncio.gather(*(persistence.ping() for _ in range(5)))
        await sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

        await persistence.ping()
        for traffic in Traffic:
            await persistence.commit([AddUser(a_user())], traffic=traffic)


# --- more callers than connections ------------------------------------------------------------------------------------


async def test_who_finds_no_connection_is_told_so_in_time(
    url: str, sql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(url, readers=1) as persistence:
        transaction = sql.transaction()
        await transaction.start()
        await sql.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")

        reading = asyncio.create_task(outcome_of(persistence.users.get(an_id())))
        async with asyncio.timeout(5):
            while not await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        monkeypatch.setattr("adapters.persistence.sql.postgresql_reads.READ_SECONDS", 0.3)
        outcomes = await asyncio.gather(persistence.ping(), persistence.ping(), return_exceptions=True)

        await transaction.rollback()
        assert await reading is None
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert "all 1 connections to the database are in use" in str(outcomes[0])


async def test_a_thousand_readers_share_a_few_connections(url: str, sql: Connection) -> None:
    async with opened(url) as persistence:
        user = await a_stored_user(persistence)

        async def look() -> User | None:
            await persistence.ledger.counts()
            await persistence.orders.page(user_id=user.id, before=None, limit=10)
            return await persistence.users.get(user.id)

        found = await asyncio.gather(*(look() for _ in range(1_000)))

        assert found == [user] * 1_000
        connections = await sql.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert connections <= 11
