"""Exchange and queues as ours are, and properties as ours are."""

from typing import Any

from pika import BasicProperties  # type: ignore[import-untyped]

from bench.engines.peers.messages import Message

EXCHANGE = "bench.events"
TOPIC = "order_events"
PARTITIONS = 12


def declare(channel: Any) -> None:
    """On a blocking channel."""
    channel.exchange_declare(EXCHANGE, "topic", durable=True)
    arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True}
    for number in range(PARTITIONS):
        channel.queue_declare(f"bench.{number}", durable=True, arguments=arguments)
        channel.queue_bind(f"bench.{number}", EXCHANGE, routing_key(number))


def routing_key(partition: int) -> str:
    return f"{TOPIC}.{partition}"


def properties(message: Message) -> BasicProperties:
    headers = {f"ce-{name}": value for name, value in message.attributes.items()}
    return BasicProperties(headers=headers, delivery_mode=2, content_type="application/json")
