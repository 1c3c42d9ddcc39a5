"""Orders with the events that tell of them, as our own API would have recorded them."""

import json
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapters.clock import SystemClock
from adapters.ids import UuidV7Ids
from adapters.persistence.sql import rows
from bench.engines.databases import connected
from domain.model.email import Email
from domain.model.events import OrderCreated
from domain.model.money import Money
from domain.model.order import Order, OrderLine
from domain.model.tasks import SendWelcomeEmail
from domain.model.user import User
from ports.deliveries import Delivery, Lane
from ports.message import partition_of, write_event

PARTITIONS = 12
USERS = 8
TOPIC = "order_events"

_clock = SystemClock()
_ids = UuidV7Ids(_clock)


def users() -> list[User]:
    """A few who may order."""
    return [
        User(
            id=_ids.new(), email=Email(f"user{number}@example.com"), name="User", registered_at=_clock.now(), version=1
        )
        for number in range(USERS)
    ]


def orders(owners: Sequence[User], count: int) -> list[Order]:
    """Of one to three lines, the same in every run but for their ids."""
    chance = random.Random(20)
    return [_order(chance, owners) for _ in range(count)]


def _order(chance: random.Random, owners: Sequence[User]) -> Order:
    lines = tuple(
        OrderLine(
            f"article-{chance.randrange(1000)}",
            chance.randint(1, 9),
            Money(Decimal(chance.randrange(10_000)) / 100, "EUR"),
        )
        for _ in range(chance.randint(1, 3))
    )
    owner = chance.choice(owners)
    return Order.place(id=_ids.new(), user_id=owner.id, currency="EUR", lines=lines, at=_clock.now())


def placed_event(order: Order) -> Delivery:
    """What the outbox holds of a placed order."""
    event = OrderCreated.of(order, id=_ids.new())
    message = write_event(event)
    now = _clock.now()
    return Delivery(
        id=message.attributes["id"],
        lane=Lane.EVENT,
        name=event.type,
        topic=event.topic,
        subject=event.subject,
        partition=partition_of(event.subject, PARTITIONS),
        attributes=message.attributes,
        body=message.body,
        recorded_at=now,
        due_at=now,
    )


def welcome_tasks(owners: Sequence[User], count: int) -> list[Delivery]:
    """What is recorded of tasks that nobody performs in the background."""
    return [_task(SendWelcomeEmail(id=_ids.new(), user_id=owners[number % len(owners)].id)) for number in range(count)]


def _task(task: SendWelcomeEmail) -> Delivery:
    now = _clock.now()
    return Delivery(
        id=str(task.id),
        lane=Lane.TASK,
        name=task.name,
        subject=task.subject,
        attributes={},
        body=json.dumps(task.data(), separators=(",", ":")).encode(),
        recorded_at=now,
        due_at=now,
    )


def fill(
    url: str, *, owners: Sequence[User], placed: Sequence[Order] = (), deliveries: Sequence[Delivery] = ()
) -> None:
    """Put them into a migrated database, which is tidy afterwards."""

    async def copy(connection: Any) -> None:
        for table, columns, records in (
            ("users", rows.USER_COLUMNS, map(rows.user_row, owners)),
            ("orders", rows.ORDER_COLUMNS, map(rows.order_row, placed)),
            ("deliveries", rows.DELIVERY_COLUMNS, map(rows.delivery_row, deliveries)),
        ):
            await connection.copy_records_to_table(table, columns=columns, records=records)
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT") if await _may_checkpoint(connection) else None

    connected(url, copy)


async def _may_checkpoint(connection: Any) -> bool:
    return bool(await connection.fetchval("SELECT usesuper FROM pg_user WHERE usename = current_user"))


def write_messages(path: Path, deliveries: Sequence[Delivery]) -> None:
    """For peers, which know nothing of us: a JSON array a line, of key, headers and body."""
    with path.open("w", encoding="utf-8") as file:
        for one in deliveries:
            file.write(json.dumps([one.subject, dict(one.attributes), one.partition, one.body.decode()]) + "\n")
