"""faststream-outbox carrying its table to Kafka: large fetches, many workers, deletions in batches.

What its handler does with a row is a bare send of aiokafka with the settings of ours, which is quicker than its own
publishers, and nothing decodes or validates the body.
"""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import uvloop
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from faststream_outbox import OutboxBroker, OutboxMessage, make_outbox_table  # type: ignore[import-not-found]
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench.engines.peers.messages import Message, read_messages
from bench.engines.peers.serve import options

QUEUE = "orders"
WORKERS = 32
AT_ONCE = 1000
metadata = MetaData()
table = make_outbox_table(metadata)


async def run(database: str, kafka: str, topic: str, messages: str, most: int) -> dict[str, float]:
    """Record the messages, then carry them until the table is empty."""
    engine = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://"), pool_size=WORKERS + 4)
    waiting = read_messages(messages, most)
    await record(engine, waiting)
    broker = OutboxBroker(engine, outbox_table=table, apply_types=False, logger=None)
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, acks="all", linger_ms=0, max_batch_size=256 * 1024
    )
    carried, done = 0, asyncio.Event()

    @broker.subscriber(  # type: ignore[untyped-decorator]
        QUEUE,
        max_workers=WORKERS,
        fetch_batch_size=AT_ONCE,
        terminal_flush_batch_size=50,
        min_fetch_interval=0.001,
        max_fetch_interval=1.0,
        decoder=whole,
    )
    async def carry(message: OutboxMessage) -> None:
        nonlocal carried
        headers = [(name, value.encode()) for name, value in message.headers.items()]
        await producer.send_and_wait(topic, message.body, key=message.headers["ce_subject"].encode(), headers=headers)
        carried += 1
        if carried >= len(waiting):
            done.set()

    await producer.start()
    began = time.perf_counter()
    await broker.start()
    try:
        async with asyncio.timeout(60):
            await done.wait()
            while await left(engine):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.02)
        seconds = time.perf_counter() - began
    finally:
        await broker.stop()
        await producer.stop()
        await engine.dispose()
    return {"rate": len(waiting) / seconds, "seconds": seconds}


async def whole(message: Any) -> Any:
    return message


async def left(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM outbox"))).scalar_one())


async def record(engine: AsyncEngine, waiting: list[Message]) -> None:
    """As its own publishing would, but many rows at once."""
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        rows = [
            {
                "queue": QUEUE,
                "payload": one.body,
                "headers": {name: value.decode() for name, value in one.kafka_headers},
                "next_attempt_at": now,
            }
            for one in waiting
        ]
        await connection.execute(table.insert(), rows)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(**options()))))
