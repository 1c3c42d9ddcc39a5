"""Placing an order as a good engineer writes it by hand: a pydantic body, one insert, one commit, no event."""

import json
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from threading import Lock
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import FastAPI
from pydantic import BaseModel, Field


class Line(BaseModel):
    sku: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=10_000)]
    unit_price: Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=2)]


class NewOrder(BaseModel):
    user_id: UUID
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    lines: Annotated[list[Line], Field(min_length=1, max_length=100)]


class Order(BaseModel):
    id: UUID
    user_id: UUID
    status: str
    currency: str
    lines: list[Line]
    total: Decimal
    created_at: datetime


_INSERT = "INSERT INTO orders (id, user_id, status, currency, lines, total, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"


def on_the_loop(path: str) -> FastAPI:
    """Inserts in ``async def``: nothing is handed to a thread, and the loop waits for the disk."""
    database, app = _open(path), _new_app()

    @app.post("/orders/", status_code=201)
    async def create_order(wanted: NewOrder) -> Order:
        order = placed(wanted)
        database.execute(_INSERT, _row(order))
        return order

    return app


def in_threads(path: str) -> FastAPI:
    """Inserts in ``def``: FastAPI runs it in a thread, and the loop goes on while the disk works."""
    database, app, one_at_a_time = _open(path), _new_app(), Lock()

    @app.post("/orders/", status_code=201)
    def create_order(wanted: NewOrder) -> Order:
        order = placed(wanted)
        row = _row(order)
        with one_at_a_time:
            database.execute(_INSERT, row)
        return order

    return app


def unstored() -> FastAPI:
    """The same route, and the order is forgotten."""
    app = _new_app()

    @app.post("/orders/", status_code=201)
    async def create_order(wanted: NewOrder) -> Order:
        return placed(wanted)

    return app


def _new_app() -> FastAPI:
    app = FastAPI()

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    return app


def _open(path: str) -> sqlite3.Connection:
    # No open transaction between statements: each insert is one of its own, and is committed when it returns.
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(
        "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, status TEXT NOT NULL, "
        "currency TEXT NOT NULL, lines TEXT NOT NULL, total TEXT NOT NULL, created_at TEXT NOT NULL)"
    )
    return database


def placed(wanted: NewOrder) -> Order:
    """What is wanted, as it is stored and answered."""
    return Order(
        id=uuid4(),
        user_id=wanted.user_id,
        status="placed",
        currency=wanted.currency,
        lines=wanted.lines,
        total=sum((line.unit_price * line.quantity for line in wanted.lines), Decimal()),
        created_at=datetime.now(UTC),
    )


def _row(order: Order) -> tuple[str, ...]:
    lines = json.dumps([(line.sku, line.quantity, str(line.unit_price)) for line in order.lines])
    return (
        str(order.id),
        str(order.user_id),
        order.status,
        order.currency,
        lines,
        str(order.total),
        order.created_at.isoformat(),
    )
