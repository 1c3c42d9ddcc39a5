"""The AsyncAPI document: what travels over the event broker, from the types of the events.

One document for both brokers. Fields and their types are those of the events; what a type does not say (bounds, what
a text means) stands in `_SAID`, and a field that wants such words and has none is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from importlib.metadata import version
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

from domain.model.email import Email
from domain.model.events import EVENT_TYPES, Event, OrderConfirmed, OrderCreated, UserRegistered
from domain.model.money import DIGITS_BEFORE_POINT, TOTAL_DIGITS_BEFORE_POINT, Money
from domain.model.order import LINES_MOST, QUANTITY_MOST, SKU_MOST, Order, OrderLine, order_line
from domain.model.user import NAME_MOST, User
from ports.message import SOURCE, write_event

Schema = dict[str, Any]

KAFKA_PREFIX = "ce_"
AMQP_PREFIX = "ce-"
EXCHANGE = "crossdock.events"

_ENVELOPE = frozenset({"id", "sequence"})  # fields of an event that travel as attributes
_READ_HERE = frozenset({OrderCreated})  # what our own consumer reacts to

_TOPICS = {
    "user_events": "What happened to users. The subject of each event is the id of its user.",
    "order_events": "What happened to orders. The subject of each event is the id of its order.",
}

_PLAIN: dict[Any, Schema] = {
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time", "description": "RFC 3339, UTC."},
    Email: {"type": "string", "format": "email", "maxLength": 254},
}

_CURRENCY = {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217."}


def _amount(digits: int) -> Schema:
    pattern = rf"^\d{{1,{digits}}}(\.\d{{1,4}})?$"
    return {"type": "string", "pattern": pattern, "description": "Exact; never a JSON number."}


_SAID: dict[tuple[type, str], Schema] = {
    (UserRegistered, "name"): {"type": "string", "minLength": 1, "maxLength": NAME_MOST},
    (OrderCreated, "currency"): _CURRENCY,
    (OrderCreated, "lines"): {"minItems": 1, "maxItems": LINES_MOST},
    (OrderCreated, "total"): _amount(TOTAL_DIGITS_BEFORE_POINT),
    (OrderLine, "sku"): {"type": "string", "minLength": 1, "maxLength": SKU_MOST},
    (OrderLine, "quantity"): {"type": "integer", "minimum": 1, "maximum": QUANTITY_MOST},
    (OrderLine, "unit_price"): _amount(DIGITS_BEFORE_POINT),
}

# CloudEvents 1.0, all as text; `type` is added for each event.
_ATTRIBUTES: dict[str, Schema] = {
    "specversion": {"type": "string", "const": "1.0"},
    "id": {"type": "string", "format": "uuid", "description": "Who has seen it has seen this event."},
    "source": {"type": "string", "const": SOURCE},
    "subject": {"type": "string", "format": "uuid", "description": "What it is about."},
    "time": {"type": "string", "format": "date-time", "description": "When it happened. Orders nothing."},
    "sequence": {
        "type": "string",
        "pattern": r"^[1-9]\d*$",
        "description": "1, 2, … for each topic and subject; this alone is the order.",
    },
}
_TRACING: dict[str, Schema] = {
    "traceparent": {"type": "string", "description": "W3C Trace Context."},
    "tracestate": {"type": "string", "description": "W3C Trace Context."},
}

_DESCRIPTION = """\
Facts, told at least once and in the order of their subject. CloudEvents 1.0 in binary mode: the attributes are headers,
the body is JSON.

On Kafka the attributes are headers with the prefix `ce_`, and the key of a record is the subject. On RabbitMQ there is
one durable topic exchange; the routing key is the topic and the partition of the subject (murmur2, as Kafka counts),
the attributes are headers with the prefix `ce-`, and messages are persistent. Who publishes and knows nothing of
partitions may use the topic alone as routing key.

Fields may be added, so a reader passes over those it does not know. A change that is not an addition is an event of
another type, with the next version at its end."""


def describe_events(*, topic_prefix: str = "", partitions: int = 12) -> dict[str, Any]:
    """The document for an environment whose topics and exchange have this prefix."""
    by_topic: dict[str, list[type[Event]]] = {topic: [] for topic in _TOPICS}
    for event in EVENT_TYPES:
        by_topic[event.topic].append(event)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Crossdock events",
            "version": version("crossdock"),
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": _server("kafka", "localhost:9092", "KAFKA_BOOTSTRAP_SERVERS"),
            "rabbitmq": _server("amqp", "localhost:5672", "RABBITMQ_URL"),
        },
        "channels": {
            topic: _channel(topic, events, prefix=topic_prefix, partitions=partitions)
            for topic, events in by_topic.items()
        },
        "operations": dict(
            operation for topic, events in by_topic.items() for operation in _operations(topic, events, partitions)
        ),
        "components": {
            "messages": {event.__name__: _message(event) for event in EVENT_TYPES},
            "schemas": {f"{event.__name__}Data": data_schema(event) for event in EVENT_TYPES},
        },
    }


def _server(protocol: str, default: str, setting: str) -> dict[str, Any]:
    return {
        "host": "{address}",
        "protocol": protocol,
        "variables": {"address": {"default": default, "description": f"What the service has in {setting}."}},
    }


def _channel(topic: str, events: list[type[Event]], *, prefix: str, partitions: int) -> dict[str, Any]:
    exchange = {"name": f"{prefix}{EXCHANGE}", "type": "topic", "durable": True, "autoDelete": False}
    return {
        "address": f"{prefix}{topic}",
        "description": _TOPICS[topic],
        "servers": [{"$ref": "#/servers/kafka"}, {"$ref": "#/servers/rabbitmq"}],
        "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"} for event in events},
        "bindings": {
            "kafka": {"topic": f"{prefix}{topic}", "partitions": partitions, "bindingVersion": "0.5.0"},
            "amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"},
        },
    }


def _operations(topic: str, events: list[type[Event]], partitions: int) -> list[tuple[str, dict[str, Any]]]:
    name = "".join(word.capitalize() for word in topic.split("_"))
    keys = [f"{topic}.{partition}" for partition in range(partitions)]
    send = {
        "action": "send",
        "summary": "Told once the change is committed, until the broker has confirmed it.",
        **_of_channel(topic, events),
        "bindings": {
            "kafka": {"bindingVersion": "0.5.0"},
            "amqp": {"deliveryMode": 2, "mandatory": True, "bindingVersion": "0.3.0"},
        },
        "x-routing-keys": keys,
    }
    operations = [(f"send{name}", send)]
    if read := [event for event in events if event in _READ_HERE]:
        receive = {
            "action": "receive",
            "summary": "What this service itself reacts to, whoever sends it.",
            **_of_channel(topic, read),
            "bindings": {
                "kafka": {"bindingVersion": "0.5.0"},
                "amqp": {"ack": True, "bindingVersion": "0.3.0"},
            },
            "x-routing-keys": [*keys, topic],
        }
        operations.append((f"receive{name}", receive))
    return operations


def _of_channel(topic: str, events: Sequence[type[Event]]) -> dict[str, Any]:
    return {
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": [{"$ref": f"#/channels/{topic}/messages/{event.__name__}"} for event in events],
    }


def _message(event: type[Event]) -> dict[str, Any]:
    example = write_event(EXAMPLES[event])
    attributes = dict(example.attributes)
    content_type = attributes.pop("datacontenttype")
    headers = {f"{KAFKA_PREFIX}{name}": value for name, value in attributes.items()} | {"content-type": content_type}
    return {
        "name": event.type,
        "title": event.__name__,
        "summary": (event.__doc__ or "").strip(),
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "oneOf": [
                _headers("Kafka", KAFKA_PREFIX, event, {"content-type": {"type": "string"}}),
                _headers("RabbitMQ", AMQP_PREFIX, event, {}),
            ],
        },
        "payload": {"$ref": f"#/components/schemas/{event.__name__}Data"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "format": "uuid", "description": "The subject."},
                "bindingVersion": "0.5.0",
            },
            "amqp": {"messageType": event.type, "bindingVersion": "0.3.0"},
        },
        "examples": [{"name": "Kafka", "headers": headers, "payload": EXAMPLES[event].data()}],
    }


def _headers(broker: str, prefix: str, event: type[Event], others: Mapping[str, Schema]) -> Schema:
    attributes = {**_ATTRIBUTES, "type": {"type": "string", "const": event.type}}
    required = {f"{prefix}{name}": schema for name, schema in attributes.items()} | dict(others)
    return {
        "type": "object",
        "title": f"{event.__name__} on {broker}",
        "properties": {**required, **_TRACING},
        "required": list(required),
    }


def data_schema(event: type[Event]) -> Schema:
    """The JSON Schema of the data of an event; a reader must take fields that it does not know."""
    return _object(event, title=f"{event.__name__}Data", without=_ENVELOPE)


def _object(kind: Any, *, title: str, without: frozenset[str] = frozenset()) -> Schema:
    hints = get_type_hints(kind)
    content = [field for field in fields(kind) if field.name not in without]
    return {
        "type": "object",
        "title": title,
        "properties": {field.name: _schema(hints[field.name], kind, field.name) for field in content},
        # A field with a default came later: what was stored before lacks it.
        "required": [field.name for field in content if field.default is MISSING],
    }


def _schema(hint: Any, owner: type, name: str) -> Schema:
    said = _SAID.get((owner, name), {})
    if get_origin(hint) is UnionType and NoneType in get_args(hint):
        (inner,) = (each for each in get_args(hint) if each is not NoneType)
        schema = _schema(inner, owner, name)
        return {**schema, "type": [schema["type"], "null"]}
    if get_origin(hint) is tuple and get_args(hint)[1:] == (...,):
        (item,) = get_args(hint)[:1]
        items = _object(item, title="Line") if item is OrderLine else _schema(item, owner, name)
        return {"type": "array", "items": items, **said}
    if hint in _PLAIN:
        return {**_PLAIN[hint], **said}
    if hint in {str, int, Money} and said:
        return dict(said)
    raise TypeError(f"say in the AsyncAPI document what {owner.__name__}.{name} is ({hint})")


def _examples() -> dict[type[Event], Event]:
    at = datetime(2026, 11, 23, 5, 13, 57, 123456, tzinfo=UTC)
    user = User(
        id=UUID("01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87"),
        email=Email("ann@example.com"),
        name="Ann",
        registered_at=at,
    )
    order = Order.place(
        id=UUID("01937b5e-9a10-7d3c-8b52-1f4e7a9c2d60"),
        user_id=user.id,
        currency="EUR",
        lines=(order_line("apple", 2, "9.90", "EUR"),),
        at=at,
    )
    return {
        UserRegistered: UserRegistered.of(user, id=UUID("01937b5e-8f3b-7a55-b1c9-0d6e2f8a4b13")),
        OrderCreated: OrderCreated.of(order, id=UUID("01937b5e-9a11-7f08-a3d7-6c5b4e3f2a19")),
        OrderConfirmed: OrderConfirmed.of(order.confirm(at), id=UUID("01937b5e-9b42-7e61-9c08-2a7d5f1e3b84")),
    }


EXAMPLES = _examples()
