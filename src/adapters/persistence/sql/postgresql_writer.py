"""Writes groups of units of work to PostgreSQL: one statement, one round trip, whole or unit by unit."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from asyncpg import exceptions  # type: ignore[import-untyped]

from adapters.persistence.sql import postgresql_parts as parts
from adapters.persistence.sql.postgresql_connections import Connections, Server
from adapters.persistence.sql.postgresql_errors import POSTGRESQL_ERRORS, is_lost, port_error
from adapters.persistence.sql.postgresql_group import Group, Unit
from ports.crash_points import CrashPoint, reached
from ports.errors import Conflict, PortError, Precondition, Rejected, Unavailable, Unknown

STATEMENT_SHARE = 0.6  # of the time that is left, so that some is left to find out what became of it
RESOLVE_PAUSE = 0.1
AGAIN_SECONDS = 0.5  # that must be left
RETRIES_MOST = 3  # of a unit that was rolled back for the sake of others
TIDY_EVERY = 500  # receipts

VOID = "INSERT INTO receipts (writer, number, void) VALUES ($1, $2, true) ON CONFLICT DO NOTHING"
IS_VOID = "SELECT void FROM receipts WHERE writer = $1 AND number = $2"


class _OfAll(Exception):
    """An error that none of the units of a group can help."""

    def __init__(self, error: PortError) -> None:
        super().__init__(str(error))
        self.error = error


class PostgresqlWriter:
    """Commits on one connection, one group at a time.

    Each group leaves a receipt in its own transaction. When the answer is lost, the receipt tells what became of it:
    it is there, or it is made void, and then the group can never be committed any more.
    """

    def __init__(self, server: Server) -> None:
        self._connections = Connections(server, 1)
        self._id = uuid4()
        self._numbers = itertools.count(1)

    async def open(self, seconds: float) -> None:
        """Connect."""
        async with self._connections.lend(seconds):
            pass

    async def close(self) -> None:
        """Close the connection."""
        await self._connections.close()

    async def commit(self, units: Sequence[Unit], deadlines: Sequence[float]) -> Sequence[Exception | None]:
        """What became of each unit: None, or why nothing of it was written; `Unknown` when that cannot be told."""
        outcomes: list[Exception | None] = [None] * len(units)
        await self._commit(units, deadlines, range(len(units)), outcomes)
        return outcomes

    async def _commit(
        self,
        units: Sequence[Unit],
        deadlines: Sequence[float],
        numbers: Sequence[int],
        outcomes: list[Exception | None],
    ) -> None:
        """Together if that can be, in halves if not: a unit that fails harms nobody else."""
        now = asyncio.get_running_loop().time()
        while numbers:
            group, taken, later = Group(), [], []
            for number in numbers:
                try:
                    if deadlines[number] <= now:
                        outcomes[number] = Unavailable("the store did not get to it in time", retry_after=1)
                    elif group.add(units[number]):
                        taken.append(number)
                    else:
                        later.append(number)
                except Exception as error:  # a value that is none; of this unit alone
                    outcomes[number] = error
            numbers = later
            if group.is_empty:
                continue
            try:
                await self._write(group, max(deadlines[number] for number in taken), alone=len(taken) == 1)
            except _OfAll as failure:
                for number in taken:
                    outcomes[number] = failure.error
            except PortError as error:
                if len(taken) == 1:
                    outcomes[taken[0]] = error
                    continue
                # One that waits for somebody's lock would hold up each half that it is in.
                size = 1 if _waited(error) else (len(taken) + 1) // 2
                for at in range(0, len(taken), size):
                    await self._commit(units, deadlines, taken[at : at + size], outcomes)

    async def _write(self, group: Group, until: float, *, alone: bool) -> None:
        """Commit it whole, or raise why not: `_OfAll` when trying less of it would not help."""
        names, parameters = group.rows()
        exclusive, retries = False, RETRIES_MOST if alone else 0
        while True:
            try:
                await self._execute(names, parameters, until, exclusive=exclusive)
            except exceptions.PostgresError as error:
                if error.sqlstate == parts.NEEDS_TO_BE_ALONE and not exclusive:
                    exclusive = True
                elif (error.sqlstate or "").startswith("40") and retries:
                    retries -= 1
                    await asyncio.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - no secret
                else:
                    raise _failure(error) from error
            except POSTGRESQL_ERRORS as error:
                raise _failure(error) from error
            else:
                return

    async def _execute(
        self, names: frozenset[str], parameters: Sequence[Sequence[Any]], until: float, *, exclusive: bool
    ) -> None:
        """Have it done; when the answer is lost, find out, and do it again if it is certain not to have been done."""
        loop = asyncio.get_running_loop()
        while True:
            number = next(self._numbers)
            text = parts.statement(names, alone=exclusive, tidy=number % TIDY_EVERY == 0)
            try:
                async with self._connections.lend((until - loop.time()) * STATEMENT_SHARE) as connection:
                    reached(CrashPoint.COMMIT_MID_BATCH)
                    await connection.fetch(text, self._id, number, *parameters)
            except Unavailable as error:  # nothing was sent
                raise _OfAll(error) from error
            except POSTGRESQL_ERRORS as error:
                if not is_lost(error):
                    raise
                lost = port_error(error)
                if await self._is_committed(number, until, lost):
                    return
                if until - loop.time() < AGAIN_SECONDS:
                    raise _OfAll(Unavailable(f"{lost}; nothing was written", retry_after=1)) from error
            else:
                return

    async def _is_committed(self, number: int, until: float, lost: PortError) -> bool:
        """What became of a group whose answer was lost: it was committed, or never will be."""
        loop = asyncio.get_running_loop()
        while (left := until - loop.time()) > 0:
            try:
                async with self._connections.lend(left) as connection:
                    # Waits for the group, should it still be at work.
                    await connection.execute(VOID, self._id, number)
                    return not await connection.fetchval(IS_VOID, self._id, number)
            except (Unavailable, *POSTGRESQL_ERRORS):
                await asyncio.sleep(min(RESOLVE_PAUSE, max(0, until - loop.time())))
        raise _OfAll(Unknown(f"{lost}; whether it was written is not known"))


def _failure(error: BaseException) -> PortError | _OfAll:
    precondition = _precondition(error)
    if precondition is not None:
        return Conflict(precondition)
    failure = port_error(error)
    if isinstance(failure, Rejected) or _is_between_units(error):
        return failure
    return _OfAll(failure)


def _precondition(error: BaseException) -> Precondition | None:
    code = getattr(error, "sqlstate", None)
    if code == parts.PRECONDITION_FAILED:
        return Precondition(str(error.args[0]))
    if isinstance(error, exceptions.UniqueViolationError | exceptions.ForeignKeyViolationError):
        return parts.CONSTRAINTS.get(str(getattr(error, "constraint_name", "")))
    return None


def _is_between_units(error: BaseException) -> bool:
    """Whether it is about rows that somebody else works on as well."""
    return isinstance(
        error, exceptions.LockNotAvailableError | exceptions.DeadlockDetectedError | exceptions.SerializationError
    )


def _waited(error: PortError) -> bool:
    return isinstance(error.__cause__, exceptions.LockNotAvailableError)
