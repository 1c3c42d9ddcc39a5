"""Writes groups of units of work, whole or unit by unit."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from adapters.persistence.sql import statements
from adapters.persistence.sql.errors import SQLITE_ERRORS, port_error
from adapters.persistence.sql.rows import answer_row, changing_row, delivery_row, order_row, to_micros, user_row
from ports.crash_points import CrashPoint, reached
from ports.errors import Conflict, PortError, Precondition, Unknown
from ports.persistence import (
    AddOrder,
    AddUser,
    Advance,
    Block,
    HoldLease,
    KeepAnswer,
    MarkSent,
    Record,
    Remember,
    Remove,
    Replace,
    SaveOrder,
    TakeInHand,
    Unblock,
    Write,
)

Unit = Sequence[Write]


class Writer:
    """Commits on one connection, which belongs to one thread.

    A group is tried as one: few statements, whatever its size. When any precondition or row fails, all is rolled back
    and each unit runs alone behind a savepoint, in order of arrival, so that one bad unit harms nobody else. Tables are
    written in one fixed order.
    """

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], int]) -> None:
        self._connection = connection
        self._now = now

    def commit(self, units: Sequence[Unit]) -> list[Exception | None]:
        """What became of each unit: None, or why nothing of it was written."""
        try:
            with _translated():
                self._execute("BEGIN IMMEDIATE")
            try:
                outcomes = self._together(units)
            except BaseException:
                self._roll_back()
                raise
        except PortError as error:
            return [error] * len(units)
        try:
            self._execute("COMMIT")
        except SQLITE_ERRORS as error:
            self._roll_back()
            failure = port_error(error)
            # A failed COMMIT that is merely busy wrote nothing; any other may have reached the disk.
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            told = failure if busy else Unknown(f"the commit failed: {failure}", cause=failure.cause)
            return [outcome or told for outcome in outcomes]
        return outcomes

    def _together(self, units: Sequence[Unit]) -> list[Exception | None]:
        try:
            with _translated():
                self._write([write for unit in units for write in unit])
        except PortError as error:
            if len(units) == 1:
                self._roll_back()
                self._execute("BEGIN IMMEDIATE")
                return [error]
        else:
            return [None] * len(units)
        self._roll_back()
        with _translated():
            self._execute("BEGIN IMMEDIATE")
        return [self._alone(unit) for unit in units]

    def _alone(self, unit: Unit) -> Exception | None:
        self._execute("SAVEPOINT alone")
        try:
            with _translated():
                self._write(unit)
        except PortError as error:
            if not self._connection.in_transaction:
                raise  # the engine gave the whole transaction up: nobody's writes are left
            self._execute("ROLLBACK TO alone")
            return error
        finally:
            if self._connection.in_transaction:
                self._execute("RELEASE alone")
        return None

    def _write(self, writes: Sequence[Write]) -> None:
        by_kind: dict[type[Write], list[Any]] = {}
        for write in writes:
            by_kind.setdefault(type(write), []).append(write)
        for kind, step in self._steps:
            if kind in by_kind:
                step(self, by_kind[kind])
                reached(CrashPoint.COMMIT_MID_BATCH)

    def _hold_leases(self, writes: Sequence[HoldLease]) -> None:
        now = self._now()
        held = 0
        for text, parameters in statements.HELD_LEASES.chunks(
            [(write.name, write.holder, write.fence, now) for write in writes]
        ):
            held += self._execute(text, parameters).fetchone()[0]
        if held != len(writes):
            raise Conflict(Precondition.LEASE_IS_HELD)

    def _keep_answers(self, writes: Sequence[KeepAnswer]) -> None:
        with _unique(Precondition.KEY_IS_NEW):
            self._run(statements.KEEP_ANSWERS, [answer_row(write.answer) for write in writes])

    def _add_users(self, writes: Sequence[AddUser]) -> None:
        try:
            self._run(statements.ADD_USERS, [user_row(write.user) for write in writes])
        except sqlite3.IntegrityError as error:
            by_email = "users.email" in str(error)
            raise Conflict(Precondition.EMAIL_IS_NEW if by_email else Precondition.VERSION_IS_CURRENT) from error

    def _add_orders(self, writes: Sequence[AddOrder]) -> None:
        try:
            self._run(statements.ADD_ORDERS, [order_row(write.order) for write in writes])
        except sqlite3.IntegrityError as error:
            by_user = error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
            raise Conflict(Precondition.USER_EXISTS if by_user else Precondition.VERSION_IS_CURRENT) from error

    def _save_orders(self, writes: Sequence[SaveOrder]) -> None:
        rows = []
        for write in writes:
            order = write.order
            confirmed_at = None if order.confirmed_at is None else to_micros(order.confirmed_at)
            rows.append((str(order.id), order.status.value, confirmed_at, order.version))
        self._require(len(rows), self._run(statements.SAVE_ORDERS, rows), Precondition.VERSION_IS_CURRENT)

    def _remember(self, writes: Sequence[Remember]) -> None:
        rows = [(write.group, write.source, write.message_id, to_micros(write.at)) for write in writes]
        with _unique(Precondition.MESSAGE_IS_NEW):
            self._run(statements.REMEMBER, rows)

    def _advance(self, writes: Sequence[Advance]) -> None:
        rows = [(write.group, write.topic, write.subject, write.version + 1, to_micros(write.at)) for write in writes]
        with _unique(Precondition.LANE_IS_CURRENT):
            self._run(statements.FIRST_ADVANCE, [row for row in rows if row[3] == 1])
        later = [row for row in rows if row[3] > 1]
        self._require(len(later), self._run(statements.ADVANCE, later), Precondition.LANE_IS_CURRENT)

    def _record(self, writes: Sequence[Record]) -> None:
        with _unique(Precondition.TOKEN_IS_CURRENT):
            self._run(statements.RECORD, [delivery_row(write.delivery) for write in writes])
        if self._execute(statements.ANY_DEAD.text).fetchone()[0]:
            ids = json.dumps([write.delivery.id for write in writes])
            self._execute(statements.BLOCK_RECORDED.text, statements.BLOCK_RECORDED.bind(ids=ids))

    def _replace(self, writes: Sequence[Replace]) -> None:
        rows = [(write.delivery.id, write.token, *changing_row(write.delivery)) for write in writes]
        self._require(len(rows), self._run(statements.REPLACE, rows), Precondition.TOKEN_IS_CURRENT)

    def _mark_sent(self, writes: Sequence[MarkSent]) -> None:
        self._run(statements.MARK_SENT, [(write.id, write.to, to_micros(write.at)) for write in writes])

    def _remove(self, writes: Sequence[Remove]) -> None:
        strict = [(write.id, write.token) for write in writes if write.token]
        self._require(len(strict), self._run(statements.REMOVE, strict), Precondition.TOKEN_IS_CURRENT)
        tolerant = [write.id for write in writes if not write.token]
        if tolerant:
            statement = statements.REMOVE_IF_THERE
            self._execute(statement.text, statement.bind(ids=json.dumps(tolerant)))

    def _block(self, writes: Sequence[Block]) -> None:
        for statement in statements.BLOCK:
            self._run(statement, [(write.ordering_key,) for write in writes])

    def _unblock(self, writes: Sequence[Unblock]) -> None:
        self._run(statements.UNBLOCK, [(write.ordering_key,) for write in writes])

    def _take_in_hand(self, writes: Sequence[TakeInHand]) -> None:
        for write in writes:
            forget = statements.FORGET_IN_HAND
            self._execute(forget.text, forget.bind(group=write.group, topic=write.topic, number=write.partition))
        rows = [(write.group, write.topic, write.partition, json.dumps(list(write.message_ids))) for write in writes]
        self._run(statements.TAKE_IN_HAND, rows)

    # The one order in which tables are written.
    _steps: Sequence[tuple[type[Write], Callable[["Writer", Sequence[Any]], None]]] = (
        (HoldLease, _hold_leases),
        (KeepAnswer, _keep_answers),  # before what it may refuse, so that a request that comes again finds its answer
        (AddUser, _add_users),
        (AddOrder, _add_orders),
        (SaveOrder, _save_orders),
        (Remember, _remember),
        (Advance, _advance),
        (Record, _record),
        (Replace, _replace),
        (MarkSent, _mark_sent),
        (Remove, _remove),
        (Block, _block),
        (Unblock, _unblock),
        (TakeInHand, _take_in_hand),
    )

    def _run(self, statement: statements.ManyRows, rows: Sequence[Sequence[Any]]) -> int:
        # Not the cursor's rowcount: sqlite3 does not count for a statement that begins with WITH.
        before = self._connection.total_changes
        for text, parameters in statement.chunks(rows):
            self._execute(text, parameters)
        return self._connection.total_changes - before

    def _execute(self, text: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(text, parameters)

    @staticmethod
    def _require(expected: int, changed: int, precondition: Precondition) -> None:
        if changed != expected:
            raise Conflict(precondition)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.rollback()


@contextmanager
def _unique(precondition: Precondition) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise Conflict(precondition) from error


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLITE_ERRORS as error:
        raise port_error(error) from error
