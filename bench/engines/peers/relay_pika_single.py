"""pika as its examples confirm: a blocking connection, one message, its confirmation, the next."""

import json
import time

import pika  # type: ignore[import-untyped]

from bench.engines.peers.messages import read_messages
from bench.engines.peers.rabbitmq import EXCHANGE, declare, properties, routing_key
from bench.engines.peers.serve import options


def run(rabbitmq: str, messages: str, most: int) -> dict[str, float]:
    """Publish the first ``most`` messages."""
    waiting = read_messages(messages, most)
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq))
    channel = connection.channel()
    declare(channel)
    channel.confirm_delivery()
    began = time.perf_counter()
    for one in waiting:
        channel.basic_publish(EXCHANGE, routing_key(one.partition), one.body, properties(one), mandatory=True)
    seconds = time.perf_counter() - began
    connection.close()
    return {"rate": len(waiting) / seconds, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(run(**options())))
