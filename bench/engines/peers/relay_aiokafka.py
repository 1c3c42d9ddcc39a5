"""A bare loop over messages that lie in memory, with aiokafka and the settings of ours: no database, nothing noted."""

import asyncio
import json
import time

import uvloop
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

from bench.engines.peers.messages import read_messages
from bench.engines.peers.serve import options


async def run(kafka: str, topic: str, messages: str) -> dict[str, float]:
    """Send all of them, pipelined, and wait for every confirmation."""
    waiting = read_messages(messages)
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, acks="all", linger_ms=0, max_batch_size=256 * 1024
    )
    await producer.start()
    try:
        began = time.perf_counter()
        sent = [
            await producer.send(topic, one.body, key=one.subject.encode(), headers=one.kafka_headers) for one in waiting
        ]
        await asyncio.gather(*sent)
        seconds = time.perf_counter() - began
    finally:
        await producer.stop()
    return {"rate": len(waiting) / seconds, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(**options()))))
