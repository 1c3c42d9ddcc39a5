"""Insert, then publish with aiokafka and wait for the confirmation, all in the handler: what has no outbox."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from fastapi import FastAPI

from bench.by_hand.orders import NewOrder, Order, placed
from bench.engines.peers.serve import options, serve
from bench.engines.peers.storage import INSERT, pool_of, row


def create_app(database: str, kafka: str, topic: str) -> FastAPI:
    """Stores at ``database``, tells ``topic``."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await pool_of(database)
        app.state.producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all", linger_ms=0)
        await app.state.producer.start()
        yield
        await app.state.producer.stop()
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders/", status_code=201)
    async def create_order(wanted: NewOrder) -> Order:
        order = placed(wanted)
        await app.state.pool.execute(INSERT, *row(order))
        body = json.dumps({"order_id": str(order.id), **wanted.model_dump(mode="json")}).encode()
        await app.state.producer.send_and_wait(topic, body, key=str(order.id).encode())
        return order

    return app


if __name__ == "__main__":
    given = options()
    serve(create_app(given["database"], given["kafka"], given["topic"]), given["port"])
