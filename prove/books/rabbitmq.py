"""All that is published on the exchange of one environment, from a queue that is bound before the load."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp  # type: ignore[import-untyped]

from prove.books.published import Published

SECONDS = 20
MARK = "ce-"


class Audit:
    """Keeps a copy of everything, durably."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._exchange = f"{prefix}crossdock.events"
        self._queue = f"audit-{prefix}"

    def bind(self) -> None:
        """From now on."""
        with _channel(self._url) as channel:
            channel.exchange_declare(self._exchange, "topic", durable=True, auto_delete=False)
            channel.queue_declare(self._queue, durable=True, auto_delete=False)
            channel.queue_bind(self._queue, self._exchange, "#")

    def read(self) -> list[Published]:
        """In the order of arrival; what is read stays, for another look."""
        found: list[Published] = []
        with _channel(self._url) as channel:
            while (message := channel.basic_get(self._queue)) is not None:
                found.append(_published(message))
        return found  # the channel is closed without an acknowledgement: everything is put back in its place

    def send(self, topic: str, attributes: dict[str, str], body: bytes) -> None:
        """As a foreign producer does, who knows nothing of partitions."""
        with _channel(self._url, confirm_publish=True) as channel:
            headers = {MARK + name: value for name, value in attributes.items()}
            message = amqp.Message(body, content_type="application/json", delivery_mode=2, application_headers=headers)
            channel.basic_publish(message, exchange=self._exchange, routing_key=topic, mandatory=True)


@contextmanager
def _channel(url: str, **options: Any) -> Iterator[Any]:
    parts = urlsplit(url)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        connect_timeout=SECONDS,
        read_timeout=SECONDS,
        write_timeout=SECONDS,
        **options,
    )
    connection.connect()
    try:
        yield connection.channel()
    finally:
        connection.close()


def _published(message: Any) -> Published:
    headers = {str(name).removeprefix(MARK): str(value) for name, value in message.headers.items()}
    topic = message.delivery_info["routing_key"].partition(".")[0]
    body = message.body
    return Published(topic, headers, body if isinstance(body, bytes) else str(body).encode())
