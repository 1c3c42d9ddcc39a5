"""SQLAlchemy Core: a transaction for each request, and the order alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Column, DateTime, MetaData, Numeric, Table, Text, Uuid, insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import create_async_engine

from bench.by_hand.orders import NewOrder, Order, placed
from bench.engines.peers.serve import options, serve
from bench.engines.peers.storage import CONNECTIONS

metadata = MetaData()
orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("total", Numeric, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)


def values(order: Order) -> dict[str, Any]:
    """By the names of the columns."""
    return {
        "id": order.id,
        "user_id": order.user_id,
        "status": order.status,
        "currency": order.currency,
        "lines": [[line.sku, line.quantity, str(line.unit_price)] for line in order.lines],
        "total": order.total,
        "created_at": order.created_at,
    }


def create_app(url: str) -> FastAPI:
    """Stores in the database at ``url``."""
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=CONNECTIONS, max_overflow=0
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders/", status_code=201)
    async def create_order(wanted: NewOrder) -> Order:
        order = placed(wanted)
        async with engine.begin() as connection:
            await connection.execute(insert(orders).values(values(order)))
        return order

    return app


if __name__ == "__main__":
    given = options()
    serve(create_app(given["database"]), given["port"])
