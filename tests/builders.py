"""Values with good defaults, so that a test names only what it is about.

Every call makes something new: its own id, address and subject, that nothing else in the suite has.
"""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from adapters.clock import SystemClock
from adapters.ids import UuidV7Ids
from domain.model.email import Email
from domain.model.money import Money
from domain.model.order import Order, OrderLine
from domain.model.user import User
from ports.deliveries import Delivery, Lane
from ports.mailer import Mail
from ports.message import SOURCE, Message

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)

_ids = UuidV7Ids(SystemClock())


def an_id() -> UUID:
    """Greater than every one before it."""
    return _ids.new()


def an_email(address: str | None = None) -> Email:
    return Email(address or f"ann.{an_id().hex}@example.com")


def a_user(**changes: Any) -> User:
    return replace(User(id=an_id(), email=an_email(), name="Ann", registered_at=NOON), **changes)


def a_line(sku: str = "tea-1", quantity: int = 2, price: str = "9.90", currency: str = "EUR") -> OrderLine:
    return OrderLine(sku, quantity, Money(Decimal(price), currency))


def an_order(*lines: OrderLine, user: User, at: datetime = NOON) -> Order:
    lines = lines or (a_line(),)
    return Order.place(id=an_id(), user_id=user.id, currency=lines[0].unit_price.currency, lines=lines, at=at)


def a_delivery(**changes: Any) -> Delivery:
    """An event to publish, about a subject of its own."""
    event_id = str(an_id())
    event = Delivery(
        id=event_id,
        lane=Lane.EVENT,
        name="crossdock.order.created.v1",
        topic="order_events",
        subject=f"subject-{event_id}",
        attributes={"id": event_id, "source": SOURCE, "type": "crossdock.order.created.v1"},
        body=b"{}",
        recorded_at=NOON,
        due_at=NOON,
    )
    return replace(event, **changes)


def a_task(**changes: Any) -> Delivery:
    """A task to perform."""
    return a_delivery(**{"lane": Lane.TASK, "name": "send_welcome_email", "topic": "", "attributes": {}} | changes)


def a_received(**changes: Any) -> Delivery:
    """A received message that is handled again later."""
    return a_delivery(**{"lane": Lane.RECEIVED, "group": "crossdock"} | changes)


def a_message(body: bytes = b"{}", *, topic: str = "order_events", **attributes: str) -> Message:
    """A message about a subject of its own, unless ``subject`` says otherwise; an empty one is none."""
    event_id = str(an_id())
    defaults = {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": "crossdock.order.created.v1",
        "subject": f"subject-{event_id}",
    }
    merged = {name: value for name, value in (defaults | attributes).items() if value}
    return Message(topic=topic, attributes=merged, body=body)


def a_mail(**changes: Any) -> Mail:
    mail = Mail(
        message_id=f"<{an_id()}@crossdock.example>",
        to=an_email(),
        subject="Welcome",
        text="Hello Ann,\n\ngood to see you.\n",
    )
    return replace(mail, **changes)
