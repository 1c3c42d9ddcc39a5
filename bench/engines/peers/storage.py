"""The table of the hand-written applications, and the pool to reach it."""

import json
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from bench.by_hand.orders import Order

CONNECTIONS = 16  # more only wait for each other on a small machine

# No index but the key, no foreign key: a user that does not exist may order here.
CREATE = (
    "CREATE TABLE IF NOT EXISTS orders (id uuid PRIMARY KEY, user_id uuid NOT NULL, status text NOT NULL, "
    "currency text NOT NULL, lines jsonb NOT NULL, total numeric NOT NULL, created_at timestamptz NOT NULL)"
)
INSERT = (
    "INSERT INTO orders (id, user_id, status, currency, lines, total, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
)


async def pool_of(url: str, *, tuned: bool = True) -> Any:
    """With the table made.

    Tuned: a connection that comes back is not reset, which costs a round trip, since an INSERT leaves nothing to reset.
    """
    more = {"reset": _as_it_is} if tuned else {}
    pool = await asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, **more)
    await pool.execute(CREATE)
    return pool


async def _as_it_is(_: Any) -> None:
    pass


def row(order: Order) -> tuple[Any, ...]:
    """In the order of ``INSERT``."""
    return (
        order.id,
        order.user_id,
        order.status,
        order.currency,
        json.dumps([(line.sku, line.quantity, str(line.unit_price)) for line in order.lines]),
        order.total,
        order.created_at,
    )
