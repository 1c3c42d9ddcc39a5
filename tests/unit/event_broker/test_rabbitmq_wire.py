"""Messages of RabbitMQ, without a server: what is sent is decoded by pika itself."""

import math
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.spec import BasicProperties  # type: ignore[import-untyped]

from adapters.event_broker.rabbitmq.connection import _PikaConnection
from adapters.event_broker.rabbitmq.wire import EncodedProperties, check_body, message_from
from ports.errors import Rejected
from ports.message import BODY_MOST, Message
from tests.builders import a_message

MOST = 128 * 1024


def sent(message: Message) -> BasicProperties:
    """As a server, or another client, reads them."""
    properties = BasicProperties()
    properties.decode(b"".join(EncodedProperties(message, most=MOST).encode()))
    return properties


def test_attributes_are_headers_and_what_has_a_place_of_its_own_is_there() -> None:
    message = a_message(
        id="m-1",
        type="crossdock.order.created.v1",
        subject="s-1",
        sequence="7",
        datacontenttype="application/json",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )

    properties = sent(message)

    assert properties.headers == {
        "ce-specversion": "1.0",
        "ce-id": "m-1",
        "ce-source": "crossdock",
        "ce-type": "crossdock.order.created.v1",
        "ce-subject": "s-1",
        "ce-sequence": "7",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    assert properties.content_type == "application/json"
    assert properties.delivery_mode == 2
    assert (properties.message_id, properties.type) == ("m-1", "crossdock.order.created.v1")


names = st.text(min_size=1, max_size=60) | st.sampled_from(["id", "type", "subject", "datacontenttype", "traceparent"])


@given(st.dictionaries(names, st.text(max_size=400), max_size=12))
def test_whatever_text_the_attributes_are_it_comes_back(attributes: dict[str, str]) -> None:
    message = Message(topic="t", attributes=attributes, body=b"{}")

    assert message_from("t", sent(message), b"{}") == message


@pytest.mark.parametrize(
    "attributes",
    [
        {"note": "x" * MOST},
        {"x" * 253: "a name that is too long"},
        {"note": "half of a pair: \ud83d"},
        {"\ud83d": "in a name"},
    ],
    ids=["too large", "long name", "surrogate", "surrogate name"],
)
def test_attributes_that_no_frame_can_carry_are_rejected(attributes: dict[str, str]) -> None:
    with pytest.raises(Rejected):
        EncodedProperties(Message(topic="t", attributes=attributes, body=b""), most=MOST)


def test_a_body_that_is_too_large_is_rejected() -> None:
    check_body(a_message(b"x" * BODY_MOST))
    with pytest.raises(Rejected):
        check_body(a_message(b"x" * (BODY_MOST + 1)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (b"text", "text"),
        (b"\xff\xfe", "��"),
        (7, "7"),
        (True, "true"),
        (Decimal("1.5"), "1.5"),
        (datetime(2026, 11, 23, 12, tzinfo=UTC), "2026-11-23T12:00:00.000000Z"),
        ([1, "two", {"three": 3}, b"4", None], '[1,"two",{"three":3},"4",null]'),
        ({"at": datetime(2026, 11, 23, 12, tzinfo=UTC)}, '{"at":"2026-11-23T12:00:00.000000Z"}'),
    ],
)
def test_headers_of_others_become_text_whatever_they_are(value: Any, text: str) -> None:
    properties = BasicProperties(headers={"ce-note": value, "ce-nothing": None, "not-ours": "x"})

    assert message_from("t", properties, b"").attributes == {"note": text}


def test_headers_within_headers_end_somewhere() -> None:
    """A table of 3 KB may be a thousand deep, which no parser of ours need survive."""
    deep: Any = []
    for _ in range(900):
        deep = [deep]

    attributes = message_from("t", BasicProperties(headers={"ce-note": deep}), b"").attributes

    assert attributes["note"].count("[") == 32


def test_a_message_may_lack_headers_and_all() -> None:
    assert message_from("t", BasicProperties(), b"x") == Message(topic="t", attributes={}, body=b"x")


@pytest.mark.parametrize("unreadable", [struct.pack(">cd", b"d", math.nan), struct.pack(">cQ", b"T", 2**62)])
def test_headers_that_pika_cannot_read_end_no_connection(unreadable: bytes) -> None:
    table = b"\x07ce-note" + unreadable
    payload = struct.pack(">HHQHI", 60, 0, 5, BasicProperties.FLAG_HEADERS, len(table)) + table
    connection = object.__new__(_PikaConnection)
    connection._frame_buffer = struct.pack(">BHL", 2, 1, len(payload)) + payload + b"\xce" + b"the next frame"

    consumed, frame = connection._read_frame()

    assert connection._frame_buffer[consumed:] == b"the next frame"
    assert (frame.channel_number, frame.body_size, frame.properties.headers) == (1, 5, None)
