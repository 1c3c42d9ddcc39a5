"""What a change of the AsyncAPI document breaks for those who listen or send, and for events that are stored."""

from collections.abc import Iterator, Mapping
from typing import Any

from tools.documents.schemas import RESPONSE, STORED, Comparison, found

Document = Mapping[str, Any]


def breaks(old: Document, new: Document) -> Iterator[str]:
    """Each thing that worked by the old document and does not by the new one."""
    for name, channel in old["channels"].items():
        if name not in new["channels"]:
            yield f"channel {name}: is gone"
            continue
        now = new["channels"][name]
        yield from _same(channel, now, ("address", "bindings"), f"channel {name}")
        yield from _messages(old, new, channel["messages"], now["messages"])
    for name, operation in old["operations"].items():
        if name not in new["operations"]:
            yield f"operation {name}: is gone"
            continue
        now = new["operations"][name]
        yield from _same(operation, now, ("action", "channel", "bindings"), f"operation {name}")
        gone = [each["$ref"] for each in operation["messages"] if each not in now["messages"]]
        yield from (f"operation {name}: {reference.rpartition('/')[2]} is gone" for reference in gone)


def _messages(old: Document, new: Document, before: Document, after: Document) -> Iterator[str]:
    types = {found(message, new)["name"]: found(message, new) for message in after.values()}
    for given in before.values():
        message = found(given, old)
        type_ = message["name"]
        if type_ not in types:
            yield f"{type_}: is gone"
            continue
        now = types[type_]
        yield from _same(message, now, ("contentType",), type_)
        yield from _bindings(message, now, type_)
        yield from Comparison(old, new, STORED).breaks(message["payload"], now["payload"], type_)
        yield from Comparison(old, new, RESPONSE).breaks(message["headers"], now["headers"], f"{type_}, headers")


def _bindings(old: Document, new: Document, at: str) -> Iterator[str]:
    for broker, binding in old["bindings"].items():
        yield from _same(binding, new["bindings"].get(broker, {}), tuple(binding), f"{at}, {broker}")


def _same(old: Document, new: Document, names: tuple[str, ...], at: str) -> Iterator[str]:
    for name in names:
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _same(before, after, tuple(before), f"{at}, {name}")
        elif before != after:
            yield f"{at}, {name}: was {before!r} and is {after!r}"
