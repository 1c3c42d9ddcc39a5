"""SQLAlchemy's ORM: a session for each request by a dependency, as the tutorials show it, and the order alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI
from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.by_hand.orders import NewOrder, Order, placed
from bench.engines.peers.orders_core import values
from bench.engines.peers.serve import options, serve
from bench.engines.peers.storage import CONNECTIONS


class Model(DeclarativeBase):
    pass


class Stored(Model):
    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    status: Mapped[str]
    currency: Mapped[str]
    lines: Mapped[list[Any]] = mapped_column(JSONB)
    total: Mapped[Decimal]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def create_app(url: str) -> FastAPI:
    """Stores in the database at ``url``."""
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=CONNECTIONS, max_overflow=0
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Model.metadata.create_all)
        yield
        await engine.dispose()

    async def new_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders/", status_code=201)
    async def create_order(wanted: NewOrder, session: Annotated[AsyncSession, Depends(new_session)]) -> Order:
        order = placed(wanted)
        session.add(Stored(**values(order)))
        await session.commit()
        return order

    return app


if __name__ == "__main__":
    given = options()
    serve(create_app(given["database"]), given["port"])
