"""One INSERT through a pool of asyncpg, and the order alone: the least that stores an order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from bench.by_hand.orders import NewOrder, Order, placed
from bench.engines.peers.serve import options, serve
from bench.engines.peers.storage import INSERT, pool_of, row


def create_app(url: str, *, tuned: bool) -> FastAPI:
    """Stores in the database at ``url``."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await pool_of(url, tuned=tuned)
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders/", status_code=201)
    async def create_order(wanted: NewOrder) -> Order:
        order = placed(wanted)
        await app.state.pool.execute(INSERT, *row(order))
        return order

    return app


if __name__ == "__main__":
    given = options()
    serve(create_app(given["database"], tuned=given["tuned"]), given["port"])
