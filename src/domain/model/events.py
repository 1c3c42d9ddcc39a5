"""What has happened, in the past tense.

An event is identified by its id and ordered by its sequence, which counts 1, 2, … for each topic and subject. Its data
are plain JSON values; `EVENT_TYPES` lists every event that this service writes or reads: a new one is added there.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Protocol, Self
from uuid import UUID

from domain.model.email import Email
from domain.model.identity import Identity
from domain.model.money import TOTAL_DIGITS_BEFORE_POINT, Money
from domain.model.order import Order, OrderLine, order_line
from domain.model.times import from_rfc3339, to_rfc3339
from domain.model.user import User
from domain.model.value import value


class Event(Protocol):
    """A fact that others may want to hear of."""

    topic: ClassVar[str]
    type: ClassVar[str]  # ends in .v and its version; an incompatible change of the data is a new version

    @property
    def id(self) -> UUID:
        """Unique; a receiver that has seen it has seen this event."""

    @property
    def subject(self) -> str:
        """What it is about; events of one topic and subject are in order."""

    @property
    def sequence(self) -> int:
        """Its place in that order, from 1."""

    @property
    def occurred_at(self) -> datetime:
        """When it happened, UTC."""

    def data(self) -> dict[str, object]:
        """Its content as JSON values."""

    @classmethod
    def from_data(cls, data: Mapping[str, object], *, id: UUID, sequence: int) -> Self:
        """The event again; `KeyError`, `TypeError`, `ValueError` or a refusal when the data are not of this type."""


@value(kw_only=True)
class UserRegistered:
    """A user has registered."""

    topic: ClassVar[str] = "user_events"
    type: ClassVar[str] = "crossdock.user.registered.v1"

    id: UUID
    sequence: int
    user_id: UUID
    email: Email
    name: str | None
    registered_at: datetime

    @classmethod
    def of(cls, user: User, *, id: UUID) -> Self:
        """The event that tells of this user's registration."""
        return cls(
            id=id,
            sequence=user.version,
            user_id=user.id,
            email=user.email,
            name=user.name,
            registered_at=user.registered_at,
        )

    @property
    def subject(self) -> str:
        return str(self.user_id)

    @property
    def occurred_at(self) -> datetime:
        return self.registered_at

    def data(self) -> dict[str, object]:
        return {
            "user_id": str(self.user_id),
            "email": self.email.address,
            "name": self.name,
            "registered_at": to_rfc3339(self.registered_at),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, object], *, id: UUID, sequence: int) -> Self:
        name = data["name"]
        return cls(
            id=id,
            sequence=sequence,
            user_id=Identity(_text(data["user_id"])),
            email=Email(_text(data["email"])),
            name=None if name is None else _text(name),
            registered_at=from_rfc3339(_text(data["registered_at"])),
        )


@value(kw_only=True)
class OrderCreated:
    """An order has been placed."""

    topic: ClassVar[str] = "order_events"
    type: ClassVar[str] = "crossdock.order.created.v1"

    id: UUID
    sequence: int
    order_id: UUID
    user_id: UUID
    currency: str
    lines: tuple[OrderLine, ...]
    total: Money
    created_at: datetime

    @classmethod
    def of(cls, order: Order, *, id: UUID) -> Self:
        """The event that tells of this order's placing."""
        return cls(
            id=id,
            sequence=order.version,
            order_id=order.id,
            user_id=order.user_id,
            currency=order.currency,
            lines=order.lines,
            total=order.total,
            created_at=order.created_at,
        )

    @property
    def subject(self) -> str:
        return str(self.order_id)

    @property
    def occurred_at(self) -> datetime:
        return self.created_at

    def data(self) -> dict[str, object]:
        return {
            "order_id": str(self.order_id),
            "user_id": str(self.user_id),
            "currency": self.currency,
            "lines": [
                {"sku": line.sku, "quantity": line.quantity, "unit_price": str(line.unit_price)} for line in self.lines
            ],
            "total": str(self.total),
            "created_at": to_rfc3339(self.created_at),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, object], *, id: UUID, sequence: int) -> Self:
        currency = _text(data["currency"])
        return cls(
            id=id,
            sequence=sequence,
            order_id=Identity(_text(data["order_id"])),
            user_id=Identity(_text(data["user_id"])),
            currency=currency,
            lines=tuple(_line(line, currency) for line in _list(data["lines"])),
            total=Money.parse(_text(data["total"]), currency, digits=TOTAL_DIGITS_BEFORE_POINT),
            created_at=from_rfc3339(_text(data["created_at"])),
        )


@value(kw_only=True)
class OrderConfirmed:
    """An order has been confirmed."""

    topic: ClassVar[str] = "order_events"
    type: ClassVar[str] = "crossdock.order.confirmed.v1"

    id: UUID
    sequence: int
    order_id: UUID
    user_id: UUID
    confirmed_at: datetime

    @classmethod
    def of(cls, order: Order, *, id: UUID) -> Self:
        """The event that tells of this order's confirmation; `ValueError` for an order that is not confirmed."""
        if order.confirmed_at is None:
            raise ValueError("the order is not confirmed")
        return cls(
            id=id,
            sequence=order.version,
            order_id=order.id,
            user_id=order.user_id,
            confirmed_at=order.confirmed_at,
        )

    @property
    def subject(self) -> str:
        return str(self.order_id)

    @property
    def occurred_at(self) -> datetime:
        return self.confirmed_at

    def data(self) -> dict[str, object]:
        return {
            "order_id": str(self.order_id),
            "user_id": str(self.user_id),
            "confirmed_at": to_rfc3339(self.confirmed_at),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, object], *, id: UUID, sequence: int) -> Self:
        return cls(
            id=id,
            sequence=sequence,
            order_id=Identity(_text(data["order_id"])),
            user_id=Identity(_text(data["user_id"])),
            confirmed_at=from_rfc3339(_text(data["confirmed_at"])),
        )


EVENT_TYPES: tuple[type[Event], ...] = (UserRegistered, OrderCreated, OrderConfirmed)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, not {type(value).__name__}")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, not {type(value).__name__}")
    return value


def _line(value: object, currency: str) -> OrderLine:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, not {type(value).__name__}")
    quantity = value["quantity"]
    if type(quantity) is not int:
        raise TypeError(f"expected a whole number, not {type(quantity).__name__}")
    return order_line(_text(value["sku"]), quantity, _text(value["unit_price"]), currency)
