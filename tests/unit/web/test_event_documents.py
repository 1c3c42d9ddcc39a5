import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.event_broker.kafka.messages import to_record
from adapters.event_broker.rabbitmq.topology import Topology
from adapters.event_broker.rabbitmq.wire import PREFIX
from domain.model.events import EVENT_TYPES
from entrypoints.asyncapi import EXAMPLES, data_schema, describe_events
from entrypoints.web.asyncapi import event_page
from entrypoints.web.pages import static_address
from ports.message import read_event, write_event

ROOT = Path(__file__).parents[3]


def _message(document: Any, name: str) -> Any:
    return document["components"]["messages"][name]


def _printed(**settings: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", "asyncapi"],
        cwd=ROOT / "tests",
        env={"PYTHONPATH": str(ROOT / "src"), **settings},
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


async def test_the_document_is_served_and_is_the_one_that_the_command_line_prints(client: httpx.AsyncClient) -> None:
    served = await client.get("/asyncapi.json")

    assert served.headers["content-type"] == "application/json"
    assert served.json() == _printed() == describe_events()


def test_the_command_line_says_what_these_settings_make_of_the_names() -> None:
    channel = _printed(CROSSDOCK_TOPIC_PREFIX="test-", CROSSDOCK_PARTITIONS="3")["channels"]["order_events"]

    assert channel["address"] == "test-order_events"
    assert channel["bindings"]["kafka"] == {"topic": "test-order_events", "partitions": 3, "bindingVersion": "0.5.0"}
    assert channel["bindings"]["amqp"]["exchange"]["name"] == "test-crossdock.events"


@pytest.mark.parametrize("event", EVENT_TYPES)
def test_every_event_is_described_as_the_drivers_send_it(event: Any) -> None:
    document = describe_events(topic_prefix="test-")
    example = write_event(EXAMPLES[event])
    topology = Topology("test-", 12)
    channel, message = document["channels"][event.topic], _message(document, event.__name__)
    kafka, amqp = message["headers"]["oneOf"]
    send = next(
        each
        for each in document["operations"].values()
        if each["action"] == "send" and each["channel"]["$ref"].endswith(event.topic)
    )

    record = to_record(example)
    assert set(kafka["required"]) == {header for header, _ in record.headers}
    assert set(amqp["required"]) == {f"{PREFIX}{name}" for name in example.attributes if name != "datacontenttype"}
    assert channel["bindings"]["amqp"]["exchange"]["name"] == topology.exchange
    assert send["x-routing-keys"] == [topology.routing_key(event.topic, partition) for partition in range(12)]
    assert set(data_schema(event)["properties"]) == set(EXAMPLES[event].data())
    assert read_event(example) == EXAMPLES[event]


def test_a_field_that_nobody_has_described_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    event = EVENT_TYPES[0]
    monkeypatch.setitem(event.__annotations__, "name", dict[str, int])

    with pytest.raises(TypeError, match=r"what UserRegistered\.name is"):
        data_schema(event)


async def test_the_page_tells_all_of_it_and_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs/events")

    text = unescape(page.text)
    document = describe_events()
    assert page.status_code == 200
    for event in EVENT_TYPES:
        assert event.type in text
        assert all(f"<code>{field}</code>" in page.text for field in data_schema(event)["properties"])
    assert "lines[].quantity" in text
    assert all(channel["address"] in text for channel in document["channels"].values())
    assert "<script" not in page.text
    assert re.findall(r'(?:src|href)="([^"]+)"', page.text) == [
        "data:,",
        static_address("pages.css"),
        "/asyncapi.json",
        "/docs",
    ]
    assert "script-src" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert 'href="/docs/events"' in (await client.get("/docs")).text


def test_names_from_settings_are_escaped() -> None:
    document = describe_events(topic_prefix="<b>")

    assert "<b>" not in event_page(document)
