"""Statements, written with SQLAlchemy Core and compiled once to text for the driver.

Executing through SQLAlchemy for each request costs more than the database does. What is written often is written for
many rows at once: one statement of n rows is one step of the engine, and lets go of the interpreter lock once instead
of n times.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    column,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    union_all,
    update,
    values,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.selectable import CTE

from adapters.persistence.sql import rows
from adapters.persistence.sql.readers import COUNTING, DUE_SINCE_EACH, FLOWING, Read
from adapters.persistence.sql.tables import answers, deliveries, in_hand, inbox, lanes, leases, orders, users

CHUNK_MOST = 64

_dialect = sqlite.dialect()
_ONE = literal_column("1", Integer())  # in the text, so that the parameters are the rows and nothing else


class Statement:
    """A compiled statement; ``bind`` puts named values into the order of its parameters."""

    def __init__(self, statement: Executable) -> None:
        compiled = cast("ClauseElement", statement).compile(dialect=_dialect)
        self.text = str(compiled)
        self._names: Sequence[str] = getattr(compiled, "positiontup", None) or ()
        self._fixed = compiled.params

    def bind(self, **named: Any) -> list[Any]:
        """The parameters; constants of the statement are filled in."""
        return [named[name] if name in named else self._fixed[name] for name in self._names]


class ManyRows:
    """One statement for any number of rows."""

    def __init__(self, build: Callable[[int], Executable]) -> None:
        self._text = cache(lambda count: Statement(build(count)).text)

    def chunks(self, many: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
        """Texts with their flat parameters, of 64, 32, … 1 rows: few texts, each compiled once."""
        at, size = 0, CHUNK_MOST
        while at < len(many):
            while size > len(many) - at:
                size //= 2
            yield self._text(size), [value for row in many[at : at + size] for value in row]
            at += size


def _inserting(table: Table, names: Sequence[str]) -> ManyRows:
    return ManyRows(
        lambda count: insert(table).values([{name: bindparam(f"{name}_{n}") for name in names} for n in range(count)])
    )


def _given(names: Sequence[str], like: Table, count: int) -> CTE:
    """The given rows as a table expression, typed like the columns of the same name."""
    typed = [column(name, like.c[name].type if name in like.c else Integer()) for name in names]
    return values(*typed, name="given").data([(0,) * len(names)] * count).cte("given")


def _updating(table: Table, names: Sequence[str], where: Callable[[CTE], ColumnElement[bool]], *keys: str) -> ManyRows:
    def build(count: int) -> Executable:
        given = _given((*keys, *names), table, count)
        return update(table).values({name: given.c[name] for name in names}).where(where(given))

    return ManyRows(build)


def _each(parameter: str) -> Select[Any]:
    """The values of a JSON array: one parameter, however many there are."""
    return select(func.json_each(bindparam(parameter, type_=Text())).table_valued("value").c.value)


# --- writes: parameters are rows in the order named -------------------------------------------------------------------

KEEP_ANSWERS = _inserting(answers, rows.ANSWER_COLUMNS)
ADD_USERS = _inserting(users, rows.USER_COLUMNS)
ADD_ORDERS = _inserting(orders, rows.ORDER_COLUMNS)
SAVE_ORDERS = _updating(  # id, status, confirmed_at, version
    orders,
    ("status", "confirmed_at", "version"),
    lambda given: and_(orders.c.id == given.c.id, orders.c.version == given.c.version - _ONE),
    "id",
)
RECORD = _inserting(deliveries, rows.DELIVERY_COLUMNS)
REPLACE = _updating(  # id, expected token, what changes
    deliveries,
    rows.CHANGING_COLUMNS,
    lambda given: and_(deliveries.c.id == given.c.id, deliveries.c.token == given.c.expected),
    "id",
    "expected",
)


def _marking_sent(count: int) -> Executable:
    given = _given(("id", "sent_to", "sent_at"), deliveries, count)
    changes: dict[str, ColumnElement[Any]] = {
        "state": literal_column("'sent'"),
        "sent_to": given.c.sent_to,
        "sent_at": given.c.sent_at,
        "token": deliveries.c.token + _ONE,
    }
    return update(deliveries).values(changes).where(deliveries.c.id == given.c.id)


MARK_SENT = ManyRows(_marking_sent)  # id, sent_to, sent_at


def _removing(count: int) -> Executable:
    given = _given(("id", "token"), deliveries, count)
    held = select(deliveries.c.position).join_from(
        given, deliveries, and_(deliveries.c.id == given.c.id, deliveries.c.token == given.c.token)
    )
    return delete(deliveries).where(deliveries.c.position.in_(held))


REMOVE = ManyRows(_removing)  # id, token
REMOVE_IF_THERE = Statement(delete(deliveries).where(deliveries.c.id.in_(_each("ids"))))
REMEMBER = _inserting(inbox, ("consumer_group", "source", "message_id", "seen_at"))
FIRST_ADVANCE = _inserting(lanes, ("consumer_group", "topic", "subject", "version", "advanced_at"))
ADVANCE = _updating(  # group, topic, subject, version, advanced_at
    lanes,
    ("version", "advanced_at"),
    lambda given: and_(
        lanes.c.consumer_group == given.c.consumer_group,
        lanes.c.topic == given.c.topic,
        lanes.c.subject == given.c.subject,
        lanes.c.version == given.c.version - _ONE,
    ),
    "consumer_group",
    "topic",
    "subject",
)

# The engine uses a partial index only for a condition that stands there in the same words, hence text and not
# parameters.
_STUCK = "state IN ('dead', 'blocked')"
_dead_keys = select(deliveries.c.ordering_key).where(
    text(f"{_STUCK} AND state = 'dead'"), deliveries.c.ordering_key.is_not(None)
)
ANY_DEAD = Statement(select(exists(_dead_keys)))
BLOCK_RECORDED = Statement(
    update(deliveries)
    .values(state="blocked")
    .where(deliveries.c.id.in_(_each("ids")), deliveries.c.state == "ready", deliveries.c.ordering_key.in_(_dead_keys))
)


def _blocking(which: str) -> ManyRows:
    def build(count: int) -> Executable:
        given = _given(("ordering_key",), deliveries, count)
        return (
            update(deliveries)
            .values(state=literal_column("'blocked'"), token=deliveries.c.token + _ONE)
            .where(text(f"{which} AND state = 'ready'"), deliveries.c.ordering_key.in_(select(given.c.ordering_key)))
        )

    return ManyRows(build)


def _unblocking(count: int) -> Executable:
    given = _given(("ordering_key",), deliveries, count)
    return (
        update(deliveries)
        .values(state=literal_column("'ready'"), token=deliveries.c.token + _ONE)
        .where(
            text(f"{_STUCK} AND state = 'blocked'"),
            deliveries.c.ordering_key.in_(select(given.c.ordering_key)),
            deliveries.c.ordering_key.not_in(_dead_keys),
        )
    )


# Each where an index answers for it; tasks wait for nobody.
BLOCK = (_blocking("lane = 'event'"), _blocking("lane = 'received' AND ordering_key IS NOT NULL"))  # ordering key
UNBLOCK = ManyRows(_unblocking)  # ordering key
FORGET_IN_HAND = Statement(
    delete(in_hand).where(
        in_hand.c.consumer_group == bindparam("group"),
        in_hand.c.topic == bindparam("topic"),
        in_hand.c.partition == bindparam("number"),
    )
)
TAKE_IN_HAND = _inserting(in_hand, ("consumer_group", "topic", "partition", "message_ids"))


def _holding(count: int) -> Executable:
    given = _given(("name", "holder", "fence", "now"), leases, count)
    return select(func.count()).select_from(
        given.join(
            leases,
            and_(
                leases.c.name == given.c.name,
                leases.c.holder == given.c.holder,
                leases.c.fence == given.c.fence,
                leases.c.expires_at > given.c.now,
            ),
        )
    )


HELD_LEASES = ManyRows(_holding)  # name, holder, fence, now

# --- leases -----------------------------------------------------------------------------------------------------------

LEASE = Statement(select(leases).where(leases.c.name.in_(_each("names"))))
_names = ("name", "holder", "fence", "expires_at")
ADD_LEASES = _inserting(leases, _names)
DROP_LEASES = Statement(delete(leases).where(leases.c.name.in_(_each("names"))))
RELEASE_LEASES = Statement(
    update(leases).values(expires_at=0).where(leases.c.name.in_(_each("names")), leases.c.holder == bindparam("who"))
)
LEASE_HOLDERS = Statement(
    select(leases.c.holder)
    .distinct()
    .where(leases.c.name >= bindparam("low"), leases.c.name < bindparam("high"), leases.c.expires_at > bindparam("now"))
    .order_by(leases.c.holder)
)

# What processes held that are no more.
EXPIRE_LEASES = Statement(update(leases).values(expires_at=0))
EXPIRE_CLAIMS = Statement(
    update(deliveries)
    .values(due_at=0, sent_at=None)
    .where(
        text("lane <> 'event' AND state = 'ready'"),
        or_(deliveries.c.holder.is_not(None), deliveries.c.sent_at.is_not(None)),  # claimed, or in a queue
    )
)

# --- reads ------------------------------------------------------------------------------------------------------------

_user = [users.c[name] for name in rows.USER_COLUMNS]
_order = [orders.c[name] for name in rows.ORDER_COLUMNS]
_delivery = [deliveries.c[name] for name in (*rows.DELIVERY_COLUMNS, "position")]

USERS_BY_ID = Statement(select(*_user).where(users.c.id.in_(_each("ids"))))
ORDERS_BY_ID = Statement(select(*_order).where(orders.c.id.in_(_each("ids"))))
_newest_orders = (
    select(*_order).where(orders.c.id < bindparam("before")).order_by(orders.c.id.desc()).limit(bindparam("most"))
)
ORDERS_PAGE = Statement(_newest_orders)
ORDERS_PAGE_OF_USER = Statement(_newest_orders.where(orders.c.user_id == bindparam("of_user")))
ORDERS_PAGE_OF_OWNER = Statement(
    _newest_orders.join(users, users.c.id == orders.c.user_id).where(
        users.c.issuer == bindparam("of_issuer"), users.c.subject == bindparam("of_subject")
    )
)

ANSWERS_BY_ID = Statement(
    select(*(answers.c[name] for name in rows.ANSWER_COLUMNS)).where(answers.c.id.in_(_each("ids")))
)

READY_EVENTS = Statement(
    select(*_delivery)
    .where(
        text("lane = 'event' AND state = 'ready'"),
        deliveries.c.partition.in_(_each("partitions")),
        deliveries.c.position > bindparam("after"),
    )
    .order_by(deliveries.c.position)
    .limit(bindparam("most"))
)
_sent = select(deliveries.c.position).where(text("state = 'sent'"))
_taken_by = bindparam("other_than", type_=Text())
SENT_EVENTS = Statement(
    select(*_delivery)
    .where(
        deliveries.c.position.in_(
            union_all(  # and not one condition with OR, which would be looked up in no index
                _sent.where(deliveries.c.sent_to < _taken_by),
                _sent.where(deliveries.c.sent_to > _taken_by),
                _sent.where(deliveries.c.sent_to == _taken_by, deliveries.c.sent_at < bindparam("before")),
            )
        )
    )
    .order_by(deliveries.c.position)
    .limit(bindparam("most"))
)
FIRST_SENT = Statement(
    select(*_delivery).where(text("state = 'sent'")).order_by(deliveries.c.sent_to, deliveries.c.sent_at).limit(1)
)
_earlier = deliveries.alias("earlier")
DUE = Statement(
    select(*_delivery)
    .where(
        text("deliveries.lane <> 'event' AND deliveries.state = 'ready'"),
        deliveries.c.lane == bindparam("of_lane"),
        deliveries.c.consumer_group == bindparam("group"),
        deliveries.c.due_at <= bindparam("now"),
        or_(
            bindparam("handed_before", type_=Integer()).is_(None),
            deliveries.c.holder.is_not(None),
            deliveries.c.sent_at.is_(None),
            deliveries.c.sent_at <= bindparam("handed_before", type_=Integer()),
        ),
        or_(
            deliveries.c.ordering_key.is_(None),
            ~exists().where(
                text("earlier.lane = 'received' AND earlier.ordering_key IS NOT NULL"),
                _earlier.c.ordering_key == deliveries.c.ordering_key,
                _earlier.c.position < deliveries.c.position,
                text("earlier.state <> 'discarded'"),
            ),
        ),
    )
    .order_by(deliveries.c.due_at, deliveries.c.position)
    .limit(bindparam("most"))
)
HANDED_OVER = Statement(
    select(func.count())
    .select_from(deliveries)
    .where(text("lane = 'task' AND state = 'ready' AND holder IS NULL AND sent_at IS NOT NULL"))
)
# Not as a JSON array: an id that others gave may hold what JSON functions stop at.
DELIVERIES_BY_ID = ManyRows(
    lambda count: select(*_delivery).where(deliveries.c.id.in_([bindparam(f"id_{n}") for n in range(count)]))
)
_only_lane = bindparam("only_lane", type_=Text())
_sought = and_(
    text(f"{_STUCK} AND state = 'dead'"),
    or_(_only_lane.is_(None), deliveries.c.lane == _only_lane),
    *(
        func.instr(func.coalesce(deliveries.c[name], ""), bindparam(f"in_{name}", type_=Text())) > 0
        for name in ("name", "subject", "reason")
    ),
)
DEAD = Statement(
    select(*_delivery)
    .where(_sought, deliveries.c.position > bindparam("after"))
    .order_by(deliveries.c.position)
    .limit(bindparam("most"))
)
COUNT_DEAD = Statement(select(func.count()).select_from(deliveries).where(_sought))
_newest = select(deliveries).order_by(deliveries.c.position.desc()).limit(bindparam("newest")).subquery("newest")
OF_SUBJECT = Statement(
    select(*(_newest.c[name] for name in (*rows.DELIVERY_COLUMNS, "position")))
    .where(_newest.c.subject == bindparam("about", type_=Text()))
    .order_by(_newest.c.position)
    .limit(bindparam("most"))
)
COUNTS = Statement(text(COUNTING))
DUE_SINCE = Statement(text(DUE_SINCE_EACH))
_EVER_RECORDED = "(SELECT seq FROM sqlite_sequence WHERE name = 'deliveries')"
FLOW = Statement(text(FLOWING + _EVER_RECORDED))


def _seen(count: int) -> Executable:
    given = _given(("consumer_group", "source", "message_id"), inbox, count)
    return select(given.c.source, given.c.message_id).join(
        inbox,
        and_(
            inbox.c.consumer_group == given.c.consumer_group,
            inbox.c.source == given.c.source,
            inbox.c.message_id == given.c.message_id,
        ),
    )


SEEN = ManyRows(_seen)  # group, source, id


def _lane_versions(count: int) -> Executable:
    given = _given(("consumer_group", "topic", "subject"), lanes, count)
    return select(lanes.c.subject, lanes.c.version).join_from(
        given,
        lanes,
        and_(
            lanes.c.consumer_group == given.c.consumer_group,
            lanes.c.topic == given.c.topic,
            lanes.c.subject == given.c.subject,
        ),
    )


def _occupied(count: int) -> Executable:
    given = _given(("ordering_key",), deliveries, count)
    return (
        select(deliveries.c.subject)
        .distinct()
        .where(
            text("lane = 'received' AND deliveries.ordering_key IS NOT NULL AND state <> 'discarded'"),
            deliveries.c.ordering_key.in_(select(given.c.ordering_key)),
        )
    )


LANES = ManyRows(_lane_versions)  # group, topic, subject
OCCUPIED = ManyRows(_occupied)  # ordering key
IN_HAND = Statement(
    select(in_hand.c.message_ids).where(
        in_hand.c.consumer_group == bindparam("group"),
        in_hand.c.topic == bindparam("of_topic"),
        in_hand.c.partition == bindparam("number"),
    )
)

READS = {
    Read.USERS: USERS_BY_ID,
    Read.ORDERS: ORDERS_BY_ID,
    Read.ORDERS_PAGE: ORDERS_PAGE,
    Read.ORDERS_PAGE_OF_USER: ORDERS_PAGE_OF_USER,
    Read.ORDERS_PAGE_OF_OWNER: ORDERS_PAGE_OF_OWNER,
    Read.ANSWERS: ANSWERS_BY_ID,
    Read.READY_EVENTS: READY_EVENTS,
    Read.SENT_EVENTS: SENT_EVENTS,
    Read.FIRST_SENT: FIRST_SENT,
    Read.DUE: DUE,
    Read.HANDED_OVER: HANDED_OVER,
    Read.DEAD: DEAD,
    Read.COUNT_DEAD: COUNT_DEAD,
    Read.OF_SUBJECT: OF_SUBJECT,
    Read.FLOW: FLOW,
    Read.COUNTS: COUNTS,
    Read.DUE_SINCE: DUE_SINCE,
    Read.IN_HAND: IN_HAND,
    Read.LEASE_HOLDERS: LEASE_HOLDERS,
}


def _forgetting(table: Table, by: str, condition: str = "") -> Statement:
    keys = list(table.primary_key.columns)
    old = select(*keys).where(table.c[by] < bindparam("before")).limit(bindparam("most"))
    if condition:
        old = old.where(text(condition))
    return Statement(delete(table).where(tuple_(*keys).in_(old)))


FORGET = (
    _forgetting(inbox, "seen_at"),
    _forgetting(deliveries, "due_at", "state = 'discarded'"),
    # A lane whose messages we keep is still in use, however long ago it moved.
    _forgetting(
        lanes,
        "advanced_at",
        "NOT EXISTS (SELECT 1 FROM deliveries WHERE lane = 'received' AND ordering_key IS NOT NULL "
        "AND ordering_key = lanes.consumer_group || '/' || lanes.topic || '/' || lanes.subject)",
    ),
)
FORGET_ANSWERS = _forgetting(answers, "answered_at")
