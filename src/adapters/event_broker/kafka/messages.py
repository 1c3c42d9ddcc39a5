"""Messages as records of Kafka: the binary mode of CloudEvents' Kafka protocol binding.

What others send may be anything: a header that is no UTF-8 becomes readable text, one that we do not know is left out,
and what a message lacks is for those above to judge. What Kafka itself cannot tell any more is a message that says so.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ports.message import Message

Headers = Sequence[tuple[str, bytes]]

_PREFIX: Final = "ce_"
# Attributes whose headers have no prefix: the binding names the first, W3C Trace Context the others.
_HEADER_OF: Final = {"datacontenttype": "content-type", "traceparent": "traceparent", "tracestate": "tracestate"}
_ATTRIBUTE_OF: Final = {header: attribute for attribute, header in _HEADER_OF.items()}


class Record(NamedTuple):
    """A message, ready to be sent."""

    key: bytes | None
    value: bytes
    headers: Headers


def to_record(message: Message) -> Record:
    """Raises `UnicodeEncodeError` for text that has no UTF-8."""
    headers = [
        (_HEADER_OF.get(name) or f"{_PREFIX}{name}", value.encode()) for name, value in message.attributes.items()
    ]
    for header, _ in headers:
        header.encode()
    subject = message.subject
    return Record(None if subject is None else subject.encode(), message.body, headers)


def to_message(topic: str, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> Message:
    """Of several headers of one name the last counts, as with Kafka's own client."""
    attributes = {}
    for header, content in headers:
        name = header.lower()
        if name.startswith(_PREFIX):
            attribute = name.removeprefix(_PREFIX)
        elif name in _ATTRIBUTE_OF:
            attribute = _ATTRIBUTE_OF[name]
        else:
            continue
        attributes[attribute] = (content or b"").decode(errors="replace")
    return Message(topic=topic, attributes=attributes, body=value or b"")


def to_notice(topic: str, place: str, reason: str) -> Message:
    """What comes instead of a record that cannot be read: nothing but where it is, and why."""
    return Message(topic=topic, attributes={}, body=f"{place} cannot be read: {reason}".encode())
