"""Confirms each order that it is told of, at once; its offsets are committed now and then."""

from uuid import UUID

import asyncpg  # type: ignore[import-untyped]
import uvloop
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from bench.engines.peers.serve import options

CONFIRM = "UPDATE orders SET status = 'confirmed' WHERE id = $1"


async def run(database: str, kafka: str, topic: str, text_ids: bool = False) -> None:
    """Until SIGTERM."""
    connection = await asyncpg.connect(database)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, group_id=f"{topic}-direct", auto_offset_reset="earliest"
    )
    await consumer.start()
    print("ready", flush=True)
    while True:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            for record in records:
                key = record.key.decode()
                await connection.execute(CONFIRM, key if text_ids else UUID(key))


if __name__ == "__main__":
    uvloop.run(run(**options()))
