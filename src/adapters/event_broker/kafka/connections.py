"""Every connection that a client of aiokafka makes, so that none is left open.

A client that is cancelled in the midst of its first questions forgets the connection it asked them on.
"""

from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import aiokafka.client  # type: ignore[import-untyped]
from aiokafka import AIOKafkaClient
from aiokafka.conn import create_conn  # type: ignore[import-untyped]

_OF_CLIENT: WeakKeyDictionary[AIOKafkaClient, set[Any]] = WeakKeyDictionary()
_made: ContextVar[set[Any] | None] = ContextVar("made", default=None)


def note_connections(client: AIOKafkaClient) -> None:
    """What is connected from here on in this context, and in tasks that it starts, is this client's."""
    _OF_CLIENT[client] = connections = set[Any]()
    _made.set(connections)


def close_connections(client: AIOKafkaClient) -> None:
    """Close all that is still open of a client that has ended."""
    for connection in _OF_CLIENT.pop(client, ()):
        connection.close()


async def _create(*arguments: Any, **named: Any) -> Any:
    connection = await create_conn(*arguments, **named)
    noted = _made.get()
    if noted is not None:
        noted -= {other for other in noted if not other.connected()}
        noted.add(connection)
    return connection


aiokafka.client.create_conn = _create
