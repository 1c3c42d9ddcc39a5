"""Messages as RabbitMQ carries them, and back.

The attributes are headers with the prefix ``ce-``, except those that have a place of their own: ``datacontenttype`` is
the content type, and what traces requests keeps its usual name. Others may send headers of every type that AMQP has.
"""

import json
import struct
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from pika.spec import BasicProperties  # type: ignore[import-untyped]

from domain.model.times import to_rfc3339
from ports.errors import Rejected
from ports.message import BODY_MOST, Message

PREFIX = "ce-"
CONTENT_TYPE = "datacontenttype"
TRACING = frozenset({"traceparent", "tracestate"})

DEPTH_MOST = 32  # of headers that hold others
_SHORT_MOST = 255  # bytes of a short string

_HEADERS_AND_PERSISTENT = BasicProperties.FLAG_HEADERS | BasicProperties.FLAG_DELIVERY_MODE
_PERSISTENT = b"\x02"
_length = struct.Struct(">I").pack
_flags = struct.Struct(">H").pack


class EncodedProperties:
    """The properties of a message, encoded: pika sends them as they are, and takes a third of the time.

    Raises `Rejected` for attributes that are no text, or have more than ``most`` bytes: they go into one frame.
    """

    INDEX = BasicProperties.INDEX

    def __init__(self, message: Message, *, most: int) -> None:
        self._encoded = _encode(message.attributes)
        if len(self._encoded) > most:
            raise Rejected(f"the attributes have {len(self._encoded):,} bytes, more than {most:,}")

    def encode(self) -> list[bytes]:
        """What pika asks for."""
        return [self._encoded]


def check_body(message: Message) -> None:
    """Raise `Rejected` for a body that no broker takes."""
    if len(message.body) > BODY_MOST:
        raise Rejected(f"the body has {len(message.body):,} bytes, more than {BODY_MOST:,}")


def message_from(topic: str, properties: BasicProperties, body: bytes) -> Message:
    """What arrived on a topic; whatever its headers are, they become attributes of text."""
    attributes: dict[str, str] = {}
    for key, value in (properties.headers or {}).items():
        name = _text(key)
        if value is None:
            continue
        if name in TRACING:
            attributes[name] = _text(value)
        elif name.startswith(PREFIX):
            attributes[name[len(PREFIX) :]] = _text(value)
    if properties.content_type is not None:
        attributes[CONTENT_TYPE] = _text(properties.content_type)
    return Message(topic=topic, attributes=attributes, body=body)


def _encode(attributes: Mapping[str, str]) -> bytes:
    flags = _HEADERS_AND_PERSISTENT
    before, after = b"", b""
    headers: list[bytes] = []
    try:
        for name, value in attributes.items():
            encoded = value.encode()
            if name == CONTENT_TYPE and len(encoded) <= _SHORT_MOST:
                flags |= BasicProperties.FLAG_CONTENT_TYPE
                before = _short(encoded)
            else:
                headers += (_key(name), _length(len(encoded)), encoded)
        for name, flag in (("id", BasicProperties.FLAG_MESSAGE_ID), ("type", BasicProperties.FLAG_TYPE)):
            encoded = attributes.get(name, "").encode()
            if 0 < len(encoded) <= _SHORT_MOST:
                flags |= flag
                after += _short(encoded)
    except UnicodeEncodeError as error:
        raise Rejected(f"an attribute is no text: {error.reason}") from error
    table = b"".join(headers)
    return b"".join((_flags(flags), before, _length(len(table)), table, _PERSISTENT, after))


def _short(encoded: bytes) -> bytes:
    return bytes((len(encoded),)) + encoded


@lru_cache(256)
def _key(attribute: str) -> bytes:
    """The name of a header, and that its value is a long string."""
    encoded = (attribute if attribute in TRACING else PREFIX + attribute).encode()
    if len(encoded) > _SHORT_MOST:
        raise Rejected(f"the name of an attribute has more than {_SHORT_MOST - len(PREFIX)} bytes")
    return _short(encoded) + b"S"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, datetime):
        return to_rfc3339(value)
    if isinstance(value, bool | int | dict | list):
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    return str(value)


def _plain(value: Any, depth: int = 0) -> Any:
    """Of JSON's own types alone, and not without end."""
    match value:
        case dict() | list() if depth == DEPTH_MOST:
            return "…"
        case dict():
            return {_text(key): _plain(inner, depth + 1) for key, inner in value.items()}
        case list():
            return [_plain(inner, depth + 1) for inner in value]
        case None | bool():
            return value
        case int():
            return int(value)
        case _:
            return _text(value)
