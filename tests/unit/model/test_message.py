import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.events import EVENT_TYPES, Event, OrderCreated
from ports.message import SOURCE, Message, Unreadable, partition_of, read_event, write_event
from tests.builders import a_line, a_user, an_id, an_order
from tests.unit.model.values import events

any_event = st.one_of(*events.values())
a_json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=10), values, max_size=3),
    max_leaves=10,
)


def test_every_event_type_has_a_strategy_here() -> None:
    assert set(events) == set(EVENT_TYPES)


@given(any_event)
def test_an_event_that_was_written_is_read_again_as_it_was(event: Event) -> None:
    message = write_event(event)

    assert read_event(message) == event


def test_the_event_of_the_largest_order_is_read_again() -> None:
    """Its total has more digits than a price may have."""
    lines = (a_line(quantity=10_000, price="999999999999.99"),) * 100
    event = OrderCreated.of(an_order(*lines, user=a_user()), id=an_id())

    assert read_event(write_event(event)) == event


@given(any_event)
def test_a_message_says_what_it_carries(event: Event) -> None:
    message = write_event(event)

    attributes = message.attributes
    assert (message.topic, message.subject) == (event.topic, event.subject)
    assert (attributes["id"], attributes["source"], attributes["type"]) == (str(event.id), SOURCE, event.type)
    assert (attributes["specversion"], attributes["sequence"]) == ("1.0", str(event.sequence))
    assert attributes["time"].endswith("Z")
    assert json.loads(message.body) == event.data()


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=5), st.binary(max_size=200))
def test_whatever_others_send_is_foreign_or_unreadable(attributes: dict[str, str], body: bytes) -> None:
    with suppress(Unreadable):
        assert read_event(Message(topic="order_events", attributes=attributes, body=body)) is None


@given(any_event, st.binary(max_size=200) | a_json_value.map(lambda value: json.dumps(value).encode()))
def test_any_body_under_a_type_of_ours_is_read_or_unreadable(event: Event, body: bytes) -> None:
    message = write_event(event)
    with suppress(Unreadable):
        read_event(Message(topic=message.topic, attributes=message.attributes, body=body))


@given(any_event, st.data())
def test_any_change_of_the_data_is_read_or_unreadable(event: Event, data: st.DataObject) -> None:
    """One field, at any depth, becomes anything or goes away."""
    message = write_event(event)
    content = json.loads(message.body)
    place = content
    while True:
        key = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        if not (isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(a_json_value)
    with suppress(Unreadable):
        read_event(Message(topic=message.topic, attributes=message.attributes, body=json.dumps(content).encode()))


@given(any_event, st.sampled_from(["id", "sequence", "type", "subject", "source", "time"]), st.text(max_size=40))
def test_any_change_of_an_attribute_is_read_foreign_or_unreadable(event: Event, name: str, value: str) -> None:
    message = write_event(event)
    with suppress(Unreadable):
        read_event(Message(topic=message.topic, attributes={**message.attributes, name: value}, body=message.body))


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"a":' * 100_000, b"1" * 100_000, b'"\xff"', b"\x00", b"NaN", b"{} {}", b"\xef\xbb\xbf{}"],
    ids=["deep lists", "deep objects", "a long number", "no UTF-8", "NUL", "NaN", "two values", "a byte order mark"],
)
def test_a_hostile_body_is_unreadable(body: bytes) -> None:
    message = write_event(OrderCreated.of(an_order(user=a_user()), id=an_id()))

    with pytest.raises(Unreadable):
        read_event(Message(topic=message.topic, attributes=message.attributes, body=body))


@pytest.mark.parametrize("number", ["2", "0", "10", "1.1", "", "x"])
def test_another_version_of_a_type_of_ours_is_unreadable_and_not_foreign(number: str) -> None:
    for event in EVENT_TYPES:
        type_ = event.type.removesuffix("1") + number
        with pytest.raises(Unreadable, match="unknown version"):
            read_event(Message(topic=event.topic, attributes={"type": type_}, body=b"{}"))


@pytest.mark.parametrize(
    "type_", ["shop.basket.filled.v1", "crossdock.order.shipped.v1", "crossdock.order.created", ".v1"]
)
def test_a_type_that_is_not_ours_is_foreign(type_: str) -> None:
    assert read_event(Message(topic="order_events", attributes={"type": type_}, body=b"not for us")) is None


def test_fields_that_a_newer_writer_has_added_are_ignored() -> None:
    event = OrderCreated.of(an_order(user=a_user()), id=an_id())
    message = write_event(event)
    body = json.dumps({**json.loads(message.body), "note": "new"}).encode()

    assert read_event(Message(topic=message.topic, attributes=message.attributes, body=body)) == event


# --- partitions -------------------------------------------------------------------------------------------------------

# From Kafka's own UtilsTest: what murmur2 makes of each, as a signed number of 32 bits.
KAFKAS_HASHES = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("subject", "signed"), KAFKAS_HASHES.items())
@pytest.mark.parametrize("partitions", [1, 2, 3, 12, 1_000, 2**31])
def test_a_subject_is_in_the_partition_in_which_kafka_would_put_it(subject: str, signed: int, partitions: int) -> None:
    assert partition_of(subject, partitions) == (signed & 0x7FFFFFFF) % partitions


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.integers(1, 1_000))
def test_every_subject_has_one_partition(subject: str, partitions: int) -> None:
    assert 0 <= partition_of(subject, partitions) < partitions
    assert partition_of(subject, partitions) == partition_of(subject, partitions)


def test_subjects_are_spread() -> None:
    counts = [0] * 12
    for _ in range(6_000):
        counts[partition_of(str(an_id()), 12)] += 1

    assert min(counts) > 350
