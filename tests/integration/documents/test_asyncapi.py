import json
from copy import deepcopy
from typing import Any

import pytest

from entrypoints.asyncapi import describe_events
from tests.foreign import run_node
from tests.stored_events import stored_events

# 3.0 is what the tools of others read today; 3.1 adds nothing that is used here.
ARGUED = {"asyncapi-latest-version"}


def read_by_others(document: Any, samples: list[Any]) -> Any:
    """What the reference parser makes of a document, and of messages that should fit its schemas."""
    return json.loads(run_node("asyncapi.mjs", given=json.dumps({"document": document, "samples": samples})))


def test_the_reference_parser_reads_the_document_and_finds_nothing() -> None:
    read = read_by_others(describe_events(topic_prefix="test-"), [])

    assert [each for each in read["findings"] if each["code"] not in ARGUED] == []
    assert read["channels"] == [
        {"address": "test-user_events", "messages": ["crossdock.user.registered.v1"], "bindings": ["kafka", "amqp"]},
        {
            "address": "test-order_events",
            "messages": ["crossdock.order.created.v1", "crossdock.order.confirmed.v1"],
            "bindings": ["kafka", "amqp"],
        },
    ]
    assert sorted(map(tuple, read["operations"])) == [
        ("receiveOrderEvents", "receive"),
        ("sendOrderEvents", "send"),
        ("sendUserEvents", "send"),
    ]


@pytest.mark.parametrize("prefix", ["ce_", "ce-"])
def test_the_examples_and_every_stored_event_fit_the_schemas(prefix: str) -> None:
    samples = []
    for message in stored_events().values():
        attributes = dict(message.attributes)
        content_type = {"content-type": attributes.pop("datacontenttype")} if prefix == "ce_" else {}
        headers = {f"{prefix}{name}": value for name, value in attributes.items() if name != "datacontenttype"}
        payload = json.loads(message.body)
        samples.append({"type": attributes["type"], "headers": {**headers, **content_type}, "payload": payload})

    assert samples
    assert read_by_others(describe_events(), samples)["misfits"] == []


def test_the_parser_sees_what_is_wrong() -> None:
    document = deepcopy(describe_events())
    document["operations"]["sendUserEvents"]["action"] = "sennd"
    fits_not = {"type": "crossdock.order.confirmed.v1", "headers": {}, "payload": {"order_id": "7"}}

    assert read_by_others(document, [])["findings"]
    misfits = " ".join(read_by_others(describe_events(), [fits_not])["misfits"])
    assert "must have required property 'confirmed_at'" in misfits
    assert 'must match format "uuid"' in misfits
