"""What travels: CloudEvents 1.0 in binary mode, JSON data.

Events are written into messages and read from them here and nowhere else. A driver maps ``attributes`` to its broker's
headers and back, and looks at nothing but topic, subject and body.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from struct import unpack_from

from domain.model.errors import Refusal
from domain.model.events import EVENT_TYPES, Event
from domain.model.identity import Identity
from domain.model.times import to_rfc3339
from domain.model.value import value
from ports.compact_json import compact_json

SOURCE = "crossdock"
BODY_MOST = 512 * 1024  # bytes; well under Kafka's default of 1 MB with headers

_BY_TYPE: dict[str, type[Event]] = {event.type: event for event in EVENT_TYPES}
_KNOWN_BASES = {type_.rpartition(".v")[0] for type_ in _BY_TYPE}


@value(kw_only=True)
class Message:
    """One event on its way.

    ``attributes`` are the CloudEvents context attributes (``id``, ``source``, ``type``, ``subject``, ``time``,
    ``sequence`` …) and extensions such as ``traceparent``, all as strings. What others send may lack any of them.
    """

    topic: str
    attributes: Mapping[str, str]
    body: bytes

    @property
    def subject(self) -> str | None:
        """What the event is about; messages of one topic and subject keep their order. None: no order is asked for."""
        return self.attributes.get("subject") or None


class Unreadable(Exception):
    """The message cannot be understood, and never will be by this version; says why."""


def write_event(event: Event) -> Message:
    """The message that carries this event."""
    return Message(
        topic=event.topic,
        attributes={
            "specversion": "1.0",
            "id": str(event.id),
            "source": SOURCE,
            "type": event.type,
            "subject": event.subject,
            "time": to_rfc3339(event.occurred_at),
            "sequence": str(event.sequence),
            "datacontenttype": "application/json",
        },
        body=compact_json(event.data()).encode(),
    )


def read_event(message: Message) -> Event | None:
    """The event in this message, or None for a type that is not ours to read.

    Raises `Unreadable` for a missing attribute, an unknown version of a known type, and a body that does not fit its
    type.
    """
    try:
        type_ = message.attributes["type"]
        event = _BY_TYPE.get(type_)
        if event is None:
            if type_.rpartition(".v")[0] in _KNOWN_BASES:
                raise Unreadable(f"unknown version of a known type: {type_}")
            return None
        data = json.loads(message.body)
        if not isinstance(data, dict):
            raise Unreadable("the data are not a JSON object")
        return event.from_data(
            data, id=Identity(message.attributes["id"]), sequence=int(message.attributes.get("sequence", "0"))
        )
    except KeyError as error:
        raise Unreadable(f"missing: {error.args[0]}") from error
    except (TypeError, ValueError, ArithmeticError, RecursionError, Refusal) as error:
        raise Unreadable(f"cannot be read: {error}") from error


@lru_cache(4096)
def partition_of(subject: str, partitions: int) -> int:
    """The partition of a subject, as Kafka's default partitioner computes it: murmur2 of the key, sign bit cleared.

    Source: ``Utils.murmur2`` and ``Utils.toPositive`` of Apache Kafka's clients.
    """
    return (_murmur2(subject.encode()) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    length = len(data)
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    result = 0x9747B28C ^ length
    whole = length & ~3
    for word in unpack_from(f"<{whole >> 2}I", data):
        word = word * multiplier & mask  # noqa: PLW2901 - as the source names it
        result = (result * multiplier ^ (word ^ (word >> 24)) * multiplier) & mask
    if length > whole:
        result = (result ^ int.from_bytes(data[whole:], "little")) * multiplier & mask
    result = (result ^ (result >> 13)) * multiplier & mask
    return result ^ (result >> 15)
