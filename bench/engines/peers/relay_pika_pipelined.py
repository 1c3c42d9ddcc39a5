"""pika's asyncio connection with up to 500 messages unconfirmed, and nothing else: no database, nothing noted."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pika  # type: ignore[import-untyped]
import uvloop
from pika.adapters.asyncio_connection import AsyncioConnection  # type: ignore[import-untyped]

from bench.engines.peers.messages import Message, read_messages
from bench.engines.peers.rabbitmq import EXCHANGE, declare, properties, routing_key
from bench.engines.peers.serve import options

WINDOW = 500


class Pipeline:
    """Publishes as long as the window has room; each confirmation makes some."""

    def __init__(self, channel: Any, waiting: list[Message]) -> None:
        self._channel = channel
        self._left: Iterator[Message] = iter(waiting)
        self._sent = 0
        self._low = 1  # every tag below is confirmed
        self._unconfirmed: set[int] = set()
        self.done = asyncio.get_running_loop().create_future()
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._fill())

    def _fill(self) -> None:
        while len(self._unconfirmed) < WINDOW and (one := next(self._left, None)) is not None:
            self._channel.basic_publish(EXCHANGE, routing_key(one.partition), one.body, properties(one), mandatory=True)
            self._sent += 1
            self._unconfirmed.add(self._sent)
        if not self._unconfirmed and not self.done.done():
            self.done.set_result(None)

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        if not isinstance(method, pika.spec.Basic.Ack):
            self.done.set_exception(RuntimeError("a message was refused"))
        tag = method.delivery_tag
        if method.multiple:
            self._unconfirmed.difference_update(range(self._low, tag + 1))
        else:
            self._unconfirmed.discard(tag)
        if method.multiple or tag == self._low:
            self._low = tag + 1
        if len(self._unconfirmed) <= WINDOW // 2:
            self._fill()


async def run(rabbitmq: str, messages: str) -> dict[str, float]:
    """Publish all of them."""
    waiting = read_messages(messages)
    parameters = pika.URLParameters(rabbitmq)
    blocking = pika.BlockingConnection(parameters)
    declare(blocking.channel())
    blocking.close()
    opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    connection = AsyncioConnection(
        parameters, on_open_callback=lambda made: made.channel(on_open_callback=opened.set_result)
    )
    channel = await opened
    began = time.perf_counter()
    await Pipeline(channel, waiting).done
    seconds = time.perf_counter() - began
    connection.close()
    await asyncio.sleep(0.1)
    return {"rate": len(waiting) / seconds, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(**options()))))
