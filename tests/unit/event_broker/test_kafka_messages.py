import pytest

from adapters.event_broker.kafka.messages import to_message, to_notice, to_record
from ports.message import Message, Unreadable, read_event
from tests.builders import a_message


def test_attributes_become_headers_as_the_binding_of_cloudevents_has_it() -> None:
    message = Message(
        topic="order_events",
        attributes={
            "specversion": "1.0",
            "id": "1",
            "subject": "Zoë 🎉",
            "datacontenttype": "application/json",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate": "vendor=1",
        },
        body=b"{}",
    )

    record = to_record(message)

    assert record.key == "Zoë 🎉".encode()
    assert record.value == b"{}"
    assert list(record.headers) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_subject", "Zoë 🎉".encode()),
        ("content-type", b"application/json"),
        ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", b"vendor=1"),
    ]
    assert to_message(message.topic, record.value, record.headers) == message


@pytest.mark.parametrize("subject", [None, ""])
def test_a_message_without_a_subject_has_no_key(subject: str | None) -> None:
    attributes = {} if subject is None else {"subject": subject}

    assert to_record(Message(topic="order_events", attributes=attributes, body=b"")).key is None


@pytest.mark.parametrize("attributes", [{"subject": "\ud800"}, {"\ud800": "a name"}], ids=["value", "name"])
def test_text_without_utf_8_is_refused(attributes: dict[str, str]) -> None:
    with pytest.raises(UnicodeEncodeError):
        to_record(Message(topic="order_events", attributes=attributes, body=b""))


def test_names_of_headers_may_be_written_in_any_case() -> None:
    headers = [("CE_Id", b"1"), ("Content-Type", b"application/json"), ("TraceParent", b"00-1-1-01")]

    message = to_message("order_events", b"", headers)

    assert message.attributes == {"id": "1", "datacontenttype": "application/json", "traceparent": "00-1-1-01"}


def test_headers_that_are_no_attributes_are_left_out() -> None:
    assert to_message("order_events", b"", [("x-request-id", b"1"), ("ceid", b"2")]).attributes == {}


def test_of_several_headers_of_one_name_the_last_counts() -> None:
    assert to_message("order_events", b"", [("ce_id", b"1"), ("ce_id", b"2")]).attributes == {"id": "2"}


@pytest.mark.parametrize("value", [b"\xff\xfe", b"\xed\xa0\x80"], ids=["no-utf-8", "surrogate"])
def test_bytes_that_are_no_text_arrive_as_text_all_the_same(value: bytes) -> None:
    message = to_message("order_events", b"", [("ce_subject", value)])

    assert message.subject is not None
    assert "\ufffd" in message.subject
    assert message.subject.encode()


def test_nothing_is_an_empty_body_and_an_empty_header() -> None:
    """A tombstone of a compacted topic has no value; Kafka's headers may have none either."""
    assert to_message("order_events", None, [("ce_id", None)]) == Message(
        topic="order_events", attributes={"id": ""}, body=b""
    )


def test_every_message_of_ours_comes_back_as_it_was() -> None:
    message = a_message()
    record = to_record(message)

    assert to_message(message.topic, record.value, record.headers) == message


def test_what_stands_for_a_record_that_cannot_be_read_is_for_a_person_to_see() -> None:
    notice = to_notice("order_events", "the record at offset 3 of order_events 1", "its checksum is wrong")

    assert notice.body == b"the record at offset 3 of order_events 1 cannot be read: its checksum is wrong"
    with pytest.raises(Unreadable):
        read_event(notice)
