"""FastStream with an UPDATE for each message; acknowledged after the effect, or before, as it comes (at most once)."""

from typing import Any

import asyncpg  # type: ignore[import-untyped]
import uvloop
from faststream import AckPolicy, FastStream  # type: ignore[import-not-found]
from faststream.kafka import KafkaBroker  # type: ignore[import-not-found]

from bench.engines.peers.serve import options

CONFIRM = "UPDATE orders SET status = 'confirmed', version = version + 1 WHERE id = $1 AND status = 'placed'"


async def run(database: str, kafka: str, topic: str, after: bool) -> None:
    """Until SIGTERM."""
    pool = await asyncpg.create_pool(database, min_size=4, max_size=4)
    broker = KafkaBroker(kafka, logger=None)
    policy = {"ack_policy": AckPolicy.REJECT_ON_ERROR} if after else {}

    @broker.subscriber(  # type: ignore[untyped-decorator]
        topic, group_id=f"{topic}-faststream", auto_offset_reset="earliest", **policy
    )
    async def confirm(event: dict[str, Any]) -> None:
        await pool.execute(CONFIRM, event["order_id"])

    app = FastStream(broker, after_startup=[started], logger=None)
    await app.run()


async def started() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    uvloop.run(run(**options()))
