"""`.delay()` in the handler, as tutorials do it, which holds the event loop until the queue has answered."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg  # type: ignore[import-untyped]
from fastapi import FastAPI
from pydantic import BaseModel, EmailStr, Field

from bench.engines import lag
from bench.engines.peers.serve import options, serve
from bench.engines.peers.storage import CONNECTIONS

CREATE = (
    "CREATE TABLE IF NOT EXISTS users "
    "(id uuid PRIMARY KEY, email text NOT NULL UNIQUE, name text, registered_at timestamptz NOT NULL)"
)
INSERT = "INSERT INTO users (id, email, name, registered_at) VALUES ($1, $2, $3, $4)"


class NewUser(BaseModel):
    email: EmailStr
    name: str | None = Field(None, min_length=1, max_length=100)


class User(BaseModel):
    id: UUID
    email: str
    name: str | None
    registered_at: datetime


def create_app(redis: str, database: str, late: str) -> FastAPI:
    """Without a database nothing is stored: the task alone."""
    os.environ["CELERY_BROKER_URL"] = redis
    from bench.engines.peers.celery_app import nothing  # noqa: PLC0415 - reads where its queue is

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if database:
                app.state.pool = await asyncpg.create_pool(database, min_size=CONNECTIONS, max_size=CONNECTIONS)
                stack.push_async_callback(app.state.pool.close)
                await app.state.pool.execute(CREATE)
            await stack.enter_async_context(lag.written(Path(late)))
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/register-user/", status_code=201)
    async def register_user(wanted: NewUser) -> User:
        user = User(id=uuid4(), email=wanted.email, name=wanted.name, registered_at=datetime.now(UTC))
        if database:
            await app.state.pool.execute(INSERT, user.id, user.email, user.name, user.registered_at)
        nothing.delay(str(user.id))
        return user

    return app


if __name__ == "__main__":
    given = options()
    serve(create_app(given["redis"], given["database"], given["late"]), given["port"])
