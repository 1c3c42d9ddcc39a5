"""What the database keeps, by plain SQL."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg  # type: ignore[import-untyped]

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Order:
    """One row."""

    user: str
    status: str
    version: int
    sku: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that matters, at one moment."""

    users: dict[str, str]  # id: e-mail
    orders: dict[str, Order]
    handled: list[str]  # ids of the events that our group has handled
    desk: list[str]  # what waits for a person


class Books:
    """Reads one database, over connections that it opens for each look."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def pending(self) -> dict[str, int]:
        """How many deliveries are not done, by lane and state."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                "SELECT lane || ' ' || state AS what, count(*) AS number FROM deliveries"
                " WHERE state <> 'discarded' GROUP BY 1"
            )
            return {row["what"]: row["number"] for row in rows}

    async def ready_events(self) -> int:
        """How many events no broker has taken yet."""
        return (await self.pending()).get("event ready", 0)

    async def kept(self) -> Kept:
        async with self._connection() as connection, connection.transaction(isolation="repeatable_read"):
            users = await connection.fetch("SELECT id, email FROM users")
            orders = await connection.fetch("SELECT id, user_id, status, version, lines FROM orders")
            inbox = await connection.fetch("SELECT message_id FROM inbox WHERE source = 'crossdock'")
            desk = await connection.fetch(
                "SELECT lane || ' ' || name || ' ' || coalesce(subject, '') || ': ' || coalesce(reason, '') AS what"
                " FROM deliveries WHERE state IN ('dead', 'blocked')"
            )
        return Kept(
            users={row["id"]: row["email"] for row in users},
            orders={
                row["id"]: Order(row["user_id"], row["status"], row["version"], json.loads(row["lines"])[0][0])
                for row in orders
            },
            handled=[row["message_id"] for row in inbox],
            desk=[row["what"] for row in desk],
        )

    async def connections(self) -> int:
        """How many others are connected."""
        async with self._connection() as connection:
            number: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return number

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self._url, timeout=SECONDS, command_timeout=SECONDS)
        try:
            yield connection
        finally:
            connection.terminate()


async def create(address: str, name: str) -> None:
    """A new database beside the one of ``address``."""
    connection = await asyncpg.connect(address, timeout=SECONDS, command_timeout=60)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
