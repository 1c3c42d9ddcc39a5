"""Domain values as rows, and back."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.model.email import Email
from domain.model.identity import Identity
from domain.model.money import Money
from domain.model.order import Order, OrderStatus, order_line
from domain.model.user import Owner, User
from ports.compact_json import compact_json
from ports.deliveries import Delivery, Happening, Lane, State
from ports.persistence import Answer

Row = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT_BELOW = 2**33 * 1_000_000  # seconds up to here, the year 2242, are exact to a microsecond as a float
_EXACT_AS_FLOAT = 4_000_000_000_000_000  # the year 2096: until then a double tells microseconds apart


def to_micros(instant: datetime) -> int:
    """Whole microseconds since 1970, UTC."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds  # a third of what dividing costs


def from_micros(micros: int) -> datetime:
    """The instant, UTC."""
    if 0 <= micros < _EXACT_AS_FLOAT:  # three times as quick
        return datetime.fromtimestamp(micros / 1_000_000, UTC)
    return _EPOCH + timedelta(microseconds=micros)


def _maybe_to(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)


def _maybe_from(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


USER_COLUMNS = ("id", "email", "name", "registered_at", "version", "issuer", "subject")


def user_row(user: User) -> Row:
    """In the order of `USER_COLUMNS`."""
    issuer, subject = (None, None) if user.owner is None else (user.owner.issuer, user.owner.subject)
    at = to_micros(user.registered_at)
    return (str(user.id), user.email.address, user.name, at, user.version, issuer, subject)


def user_of(row: Row) -> User:
    """From the order of `USER_COLUMNS`."""
    id_, email, name, registered_at, version, issuer, subject = row
    return User(
        id=Identity(id_),
        email=Email(email),
        name=name,
        registered_at=from_micros(registered_at),
        version=version,
        owner=None if issuer is None else Owner(issuer, subject),
    )


ORDER_COLUMNS = ("id", "user_id", "status", "currency", "lines", "total", "created_at", "confirmed_at", "version")


def order_row(order: Order) -> Row:
    """In the order of `ORDER_COLUMNS`."""
    return (
        str(order.id),
        str(order.user_id),
        order.status.value,
        order.currency,
        compact_json([(line.sku, line.quantity, str(line.unit_price)) for line in order.lines]),
        str(order.total),
        to_micros(order.created_at),
        _maybe_to(order.confirmed_at),
        order.version,
    )


_STATUSES = {status.value: status for status in OrderStatus}


def order_of(row: Row) -> Order:
    """From the order of `ORDER_COLUMNS`."""
    id_, user_id, status, currency, lines, total, created_at, confirmed_at, version = row
    return Order(
        id=Identity(id_),
        user_id=Identity(user_id),
        status=_STATUSES[status],
        currency=currency,
        lines=tuple(order_line(sku, quantity, price, currency) for sku, quantity, price in json.loads(lines)),
        total=Money(Decimal(total), currency),
        created_at=from_micros(created_at),
        confirmed_at=_maybe_from(confirmed_at),
        version=version,
    )


ANSWER_COLUMNS = ("id", "fingerprint", "status_code", "location", "body", "answered_at")


def answer_row(answer: Answer) -> Row:
    """In the order of `ANSWER_COLUMNS`."""
    return (answer.id, answer.fingerprint, answer.status, answer.location, answer.body, to_micros(answer.at))


def answer_of(row: Row) -> Answer:
    """From the order of `ANSWER_COLUMNS`."""
    id_, fingerprint, status, location, body, at = row
    return Answer(id_, fingerprint, status, location, bytes(body), from_micros(at))


# What a delivery is, and after it what changes about it.
FIXED_COLUMNS = (
    "id",
    "lane",
    "name",
    "topic",
    "subject",
    "consumer_group",
    "ordering_key",
    "partition",
    "attributes",
    "body",
    "recorded_at",
)
CHANGING_COLUMNS = (
    "due_at",
    "state",
    "token",
    "attempts",
    "holder",
    "sent_to",
    "sent_at",
    "reason",
    "first_failed_at",
    "last_failed_at",
    "story",
)
DELIVERY_COLUMNS = (*FIXED_COLUMNS, *CHANGING_COLUMNS)


# What may differ between deliveries that nobody has worked on yet, and what all of them have in common.
FRESH_COLUMNS = (*FIXED_COLUMNS, "due_at", "holder")
FRESH_VALUES: Mapping[str, Any] = {
    "state": State.READY.value,
    "token": 1,
    "attempts": 0,
    "sent_to": None,
    "sent_at": None,
    "reason": None,
    "first_failed_at": None,
    "last_failed_at": None,
    "story": "[]",
}


def delivery_row(delivery: Delivery) -> Row:
    """In the order of `DELIVERY_COLUMNS`."""
    return (*_fixed_row(delivery), *changing_row(delivery))


def _fixed_row(delivery: Delivery) -> Row:
    return (
        delivery.id,
        delivery.lane.value,
        delivery.name,
        delivery.topic,
        delivery.subject,
        delivery.group,
        delivery.ordering_key,
        delivery.partition,
        compact_json(dict(delivery.attributes)) if delivery.attributes else "{}",
        delivery.body,
        to_micros(delivery.recorded_at),
    )


def fresh_row(delivery: Delivery) -> Row | None:
    """In the order of `FRESH_COLUMNS`; None when somebody has worked on it."""
    if (
        delivery.state is not State.READY
        or delivery.token != 1
        or delivery.attempts
        or delivery.sent_at is not None
        or delivery.sent_to is not None
        or delivery.story
        or delivery.reason is not None
        or delivery.first_failed_at is not None
        or delivery.last_failed_at is not None
    ):
        return None
    return (*_fixed_row(delivery), to_micros(delivery.due_at), delivery.holder)


def full_row(fresh: Row) -> Row:
    """From the order of `FRESH_COLUMNS` to that of `DELIVERY_COLUMNS`."""
    given = {**dict(zip(FRESH_COLUMNS, fresh, strict=True)), **FRESH_VALUES}
    return tuple(given[column] for column in DELIVERY_COLUMNS)


def changing_row(delivery: Delivery) -> Row:
    """In the order of `CHANGING_COLUMNS`."""
    return (
        to_micros(delivery.due_at),
        delivery.state.value,
        delivery.token,
        delivery.attempts,
        delivery.holder,
        delivery.sent_to,
        _maybe_to(delivery.sent_at),
        delivery.reason,
        _maybe_to(delivery.first_failed_at),
        _maybe_to(delivery.last_failed_at),
        _story_text(delivery.story),
    )


_LANES = {lane.value: lane for lane in Lane}
_STATES = {state.value: state for state in State}


def delivery_of(row: Row) -> Delivery:
    """From the order of `DELIVERY_COLUMNS`, with the position behind."""
    return Delivery(
        id=row[0],
        lane=_LANES[row[1]],
        name=row[2],
        topic=row[3],
        subject=row[4],
        group=row[5],
        partition=row[7],
        attributes=_attributes(row[8]),
        body=row[9],
        recorded_at=from_micros(row[10]),
        due_at=from_micros(row[11]),
        state=_STATES[row[12]],
        token=row[13],
        attempts=row[14],
        holder=row[15],
        sent_to=row[16],
        sent_at=_maybe_from(row[17]),
        reason=row[18],
        first_failed_at=_maybe_from(row[19]),
        last_failed_at=_maybe_from(row[20]),
        story=_story(row[21]),
        position=row[22],
    )


def _attributes(text: str) -> Mapping[str, str]:
    attributes: Mapping[str, str] = json.loads(text)
    return attributes


def _story_text(story: Sequence[Happening]) -> str:
    return compact_json([(to_micros(one.at), one.what, one.why) for one in story]) if story else "[]"


def _story(text: str) -> tuple[Happening, ...]:
    return tuple(Happening(from_micros(at), what, why) for at, what, why in json.loads(text)) if text != "[]" else ()
