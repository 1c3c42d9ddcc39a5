"""Units of work as the rows of one statement."""

import json
from collections.abc import Callable, Hashable, Sequence
from operator import itemgetter
from typing import Any

from adapters.persistence.sql import postgresql_parts as parts
from adapters.persistence.sql.rows import (
    DELIVERY_COLUMNS,
    FRESH_COLUMNS,
    Row,
    answer_row,
    changing_row,
    delivery_row,
    fresh_row,
    full_row,
    order_row,
    to_micros,
    user_row,
)
from ports.deliveries import State
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

BYTES_MOST = 8_000_000  # of bodies in one statement, which is in memory on both sides

_first = itemgetter(0)
_STATE = DELIVERY_COLUMNS.index("state")
_KEY = DELIVERY_COLUMNS.index("ordering_key")
_SHORT = len(FRESH_COLUMNS)


class Group:
    """Rows of units that write different rows, by the part that writes them."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}
        self._touched: set[Hashable] = set()
        self._dead: set[str] = set()
        self._bytes = 0

    def add(self, unit: Unit) -> bool:
        """Take a unit in; false when it writes a row that a unit before it writes, or would be too much at once."""
        keys: list[Hashable] = []
        size = 0
        dead: list[str] = []
        for write in unit:
            if (key := _KEYS.get(type(write))) is not None:
                keys.append(key(write))
            if isinstance(write, Record):
                size += len(write.delivery.body)
                if write.delivery.state is State.DEAD and write.delivery.ordering_key:
                    dead.append(write.delivery.ordering_key)
            elif isinstance(write, KeepAnswer):
                size += len(write.answer.body)
        free = self._touched.isdisjoint(keys) and (not self._rows or self._bytes + size <= BYTES_MOST)
        self._touched.update(keys)
        if free:
            self._bytes += size
            for part, row in [_ROWS[type(write)](write) for write in unit]:  # all of them, or an error and none
                self._rows.setdefault(part.name, []).append(row)
            self._dead.update(dead)
        return free

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._rows

    def rows(self) -> tuple[frozenset[str], list[Sequence[Any]]]:
        """The names of the parts that have rows, and the columns of each."""
        self._settle_recorded()
        columns: list[Sequence[Any]] = []
        for part in parts.PARTS:
            rows = self._rows.get(part.name)
            if rows is None:
                continue
            if part.ordered and len(rows) > 1:
                rows.sort(key=_first)
            columns += zip(*rows, strict=True)
        return frozenset(self._rows), columns

    def _settle_recorded(self) -> None:
        """What is recorded stays in one order: it is written short if all of it is fresh, and else in full."""
        rows = self._rows.pop(parts.RECORDED.name, None)
        if rows is None:
            return
        if all(len(row) == _SHORT for row in rows):
            self._rows[parts.RECORDED_FRESH.name] = rows
        else:
            self._rows[parts.RECORDED.name] = [self._behind(_in_full(row)) for row in rows]

    def _behind(self, row: Row) -> Row:
        """What is recorded together with a dead one of its key waits, as if it had come after it."""
        if row[_STATE] != State.READY or row[_KEY] not in self._dead:
            return row
        return (*row[:_STATE], State.BLOCKED.value, *row[_STATE + 1 :])


# The row that each writes, but for what cannot be written twice, or may be.
_KEYS: dict[type[Write], Callable[[Any], Hashable]] = {
    KeepAnswer: lambda write: (write.answer.id, KeepAnswer),
    SaveOrder: lambda write: write.order.id,
    Remember: lambda write: (write.group, write.source, write.message_id, Remember),
    Advance: lambda write: (write.group, write.topic, write.subject, Advance),
    Record: lambda write: write.delivery.id,
    Replace: lambda write: write.delivery.id,
    MarkSent: lambda write: write.id,
    Remove: lambda write: write.id,
    TakeInHand: lambda write: (write.group, write.topic, write.partition, TakeInHand),
}


def _in_full(row: Row) -> Row:
    return full_row(row) if len(row) == _SHORT else row


Placed = tuple[parts.Part, Row]


def _save_order(write: SaveOrder) -> Placed:
    order = write.order
    confirmed_at = None if order.confirmed_at is None else to_micros(order.confirmed_at)
    return parts.SAVED, (str(order.id), order.status.value, confirmed_at, order.version)


def _remember(write: Remember) -> Placed:
    return parts.REMEMBERED, (write.message_id, write.source, write.group, to_micros(write.at))


def _advance(write: Advance) -> Placed:
    part = parts.ADVANCED if write.version else parts.FIRST_ADVANCED
    return part, (write.subject, write.topic, write.group, write.version + 1, to_micros(write.at))


def _replace(write: Replace) -> Placed:
    return parts.REPLACED, (write.delivery.id, write.token, *changing_row(write.delivery))


def _remove(write: Remove) -> Placed:
    return (parts.REMOVED_IF_THERE, (write.id,)) if write.token is None else (parts.REMOVED, (write.id, write.token))


def _take_in_hand(write: TakeInHand) -> Placed:
    return parts.IN_HAND, (write.topic, write.partition, write.group, json.dumps(list(write.message_ids)))


_ROWS: dict[type[Write], Callable[[Any], Placed]] = {
    HoldLease: lambda write: (parts.HELD, (write.name, write.holder, write.fence)),
    KeepAnswer: lambda write: (parts.KEPT, answer_row(write.answer)),
    AddUser: lambda write: (parts.USERS, user_row(write.user)),
    AddOrder: lambda write: (parts.ORDERS, order_row(write.order)),
    SaveOrder: _save_order,
    Remember: _remember,
    Advance: _advance,
    Record: lambda write: (parts.RECORDED, fresh_row(write.delivery) or delivery_row(write.delivery)),
    Replace: _replace,
    MarkSent: lambda write: (parts.MARKED_SENT, (write.id, write.to, to_micros(write.at))),
    Remove: _remove,
    TakeInHand: _take_in_hand,
    Block: lambda write: (parts.BLOCKED, (write.ordering_key,)),
    Unblock: lambda write: (parts.UNBLOCKED, (write.ordering_key,)),
}
