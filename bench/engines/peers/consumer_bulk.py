"""By hand, for speed: many messages at once, inbox and effect in one transaction, then the offsets."""

import asyncpg  # type: ignore[import-untyped]
import uvloop
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from bench.engines.peers.serve import options

AT_ONCE = 1000
CREATE = "CREATE TABLE seen (id text PRIMARY KEY)"
REMEMBER = "INSERT INTO seen SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING id"
CONFIRM = (
    "UPDATE orders SET status = 'confirmed', version = version + 1 WHERE id = ANY ($1::text[]) AND status = 'placed'"
)


async def run(database: str, kafka: str, topic: str) -> None:
    """Until SIGTERM."""
    connection = await asyncpg.connect(database)
    await connection.execute(CREATE)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        group_id=f"{topic}-bulk",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=1 << 20,
    )
    await consumer.start()
    print("ready", flush=True)
    while True:
        records = [
            record
            for of_partition in (await consumer.getmany(timeout_ms=1000, max_records=AT_ONCE)).values()
            for record in of_partition
        ]
        if not records:
            continue
        by_id = {dict(record.headers)["ce_id"].decode(): record.key.decode() for record in records}
        async with connection.transaction():
            new = await connection.fetch(REMEMBER, list(by_id))
            await connection.execute(CONFIRM, [by_id[row["id"]] for row in new])
        await consumer.commit()


if __name__ == "__main__":
    uvloop.run(run(**options()))
