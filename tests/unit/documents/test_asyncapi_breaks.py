"""Each kind of break is seen once, in the real document, and said by its name."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from entrypoints.asyncapi import describe_events
from tools.documents.asyncapi import breaks

Document = dict[str, Any]
Change = Callable[[Document], object]

CREATED = "crossdock.order.created.v1"


def data(document: Document, event: str = "OrderCreated") -> Document:
    found: Document = document["components"]["schemas"][f"{event}Data"]
    return found


def message(document: Document, event: str = "OrderCreated") -> Document:
    found: Document = document["components"]["messages"][event]
    return found


def changed(change: Change) -> list[str]:
    new = deepcopy(describe_events())
    change(new)
    return list(breaks(describe_events(), new))


def rename_topic(new: Document) -> None:
    new["channels"]["order_events"]["address"] = "orders"
    new["channels"]["order_events"]["bindings"]["kafka"]["topic"] = "orders"


BREAKS: dict[str, tuple[Change, str]] = {
    "a field that is gone": (
        lambda new: data(new)["properties"].pop("total"),
        f"{CREATED}.total: is gone",
    ),
    "a field that may be missing": (
        lambda new: data(new)["required"].remove("currency"),
        f"{CREATED}.currency: may be missing now",
    ),
    "a narrower bound, which what is stored may exceed": (
        lambda new: data(new)["properties"]["lines"].update(maxItems=50),
        f"{CREATED}.lines: maxItems was 100 and is 50",
    ),
    "a wider bound, which readers may not expect": (
        lambda new: data(new)["properties"]["lines"]["items"]["properties"]["sku"].update(maxLength=100),
        f"{CREATED}.lines[].sku: maxLength was 64 and is 100",
    ),
    "a narrower type": (
        lambda new: data(new, "UserRegistered")["properties"]["name"].update(type="string"),
        "crossdock.user.registered.v1.name: may no longer be null",
    ),
    "another type": (
        lambda new: data(new)["properties"]["total"].update(type="number"),
        f"{CREATED}.total: may no longer be string",
    ),
    "a new field that what is stored lacks": (
        lambda new: (
            data(new)["properties"].update(note={"type": "string"}),
            data(new)["required"].append("note"),
        ),
        f"{CREATED}.note: is required now",
    ),
    "another topic": (
        rename_topic,
        "channel order_events, address: was 'order_events' and is 'orders'",
    ),
    "another exchange": (
        lambda new: new["channels"]["user_events"]["bindings"]["amqp"]["exchange"].update(name="events"),
        "channel user_events, bindings, amqp, exchange, name: was 'crossdock.events' and is 'events'",
    ),
    "another number of partitions": (
        lambda new: new["channels"]["user_events"]["bindings"]["kafka"].update(partitions=24),
        "channel user_events, bindings, kafka, partitions: was 12 and is 24",
    ),
    "a channel that is gone": (
        lambda new: new["channels"].pop("user_events"),
        "channel user_events: is gone",
    ),
    "an event of another type": (
        lambda new: message(new).update(name="crossdock.order.placed.v1"),
        f"{CREATED}: is gone",
    ),
    "an event that is not told any more": (
        lambda new: new["channels"]["order_events"]["messages"].pop("OrderCreated"),
        f"{CREATED}: is gone",
    ),
    "an operation that is gone": (
        lambda new: new["operations"].pop("receiveOrderEvents"),
        "operation receiveOrderEvents: is gone",
    ),
    "an operation that does something else": (
        lambda new: new["operations"]["sendUserEvents"].update(action="receive"),
        "operation sendUserEvents, action: was 'send' and is 'receive'",
    ),
    "an event that an operation does without": (
        lambda new: new["operations"]["sendOrderEvents"]["messages"].pop(),
        "operation sendOrderEvents: OrderConfirmed is gone",
    ),
    "a header that is gone": (
        lambda new: message(new)["headers"]["oneOf"][0]["properties"].pop("ce_sequence"),
        f"{CREATED}, headers.ce_sequence: is gone",
    ),
    "another key": (
        lambda new: message(new)["bindings"]["kafka"]["key"].update(type="integer"),
        f"{CREATED}, kafka, key, type: was 'string' and is 'integer'",
    ),
    "another content type": (
        lambda new: message(new).update(contentType="application/avro"),
        f"{CREATED}, contentType: was 'application/json' and is 'application/avro'",
    ),
}

ADDITIONS: dict[str, Change] = {
    "an optional field": lambda new: data(new)["properties"].update(note={"type": "string"}),
    "a header that may be missing": lambda new: message(new)["headers"]["oneOf"][0]["properties"].update(
        ce_dataschema={"type": "string"}
    ),
    "an event of a new version": lambda new: (
        new["components"]["messages"].update(OrderCreatedV2={**message(new), "name": "crossdock.order.created.v2"}),
        new["channels"]["order_events"]["messages"].update(V2={"$ref": "#/components/messages/OrderCreatedV2"}),
    ),
    "a channel": lambda new: new["channels"].update(cart_events={**new["channels"]["user_events"]}),
    "words": lambda new: message(new).update(summary="An order."),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_named(name: str) -> None:
    change, told = BREAKS[name]

    assert told in changed(change)


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_breaks_nobody(name: str) -> None:
    assert changed(ADDITIONS[name]) == []
