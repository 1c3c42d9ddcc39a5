"""As tutorials publish: insert, then ``send`` and ``flush`` with kafka-python, which holds the event loop meanwhile."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from kafka import KafkaProducer  # type: ignore[import-not-found]

from bench.by_hand.orders import NewOrder, Order, placed
from bench.engines.peers.serve import options, serve
from bench.engines.peers.storage import INSERT, pool_of, row


def create_app(url: str, kafka: str, topic: str) -> FastAPI:
    """Stores in the database at ``url``, then tells ``topic``."""
    producer = KafkaProducer(
        bootstrap_servers=kafka, value_serializer=lambda value: json.dumps(value).encode(), acks="all"
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await pool_of(url)
        yield
        await app.state.pool.close()
        producer.close(timeout=2)

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders/", status_code=201)
    async def create_order(wanted: NewOrder) -> Order:
        order = placed(wanted)
        await app.state.pool.execute(INSERT, *row(order))
        producer.send(topic, {"event_type": "ORDER_CREATED", "order": wanted.model_dump(mode="json")})
        producer.flush()
        return order

    return app


if __name__ == "__main__":
    given = options()
    serve(create_app(given["database"], given["kafka"], given["topic"]), given["port"])
