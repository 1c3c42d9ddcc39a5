"""What a change of a JSON Schema breaks, and for whom.

A schema stands between who writes a value and who reads it. Where we read (requests), taking fewer values breaks who
writes; where we write (responses), giving other values breaks who reads; events are stored and read again later, so
both count. Kept libraries that compare OpenAPI documents know 3.0 alone or are written for other platforms, and none
knows AsyncAPI, hence this small one. What it does not know by name (``if``, ``not`` …) may not change at all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

Schema = Mapping[str, Any]

_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_EXACT = ("pattern", "format", "multipleOf", "uniqueItems", "contentEncoding")
_WORDS_ONLY = frozenset(
    {"$comment", "$id", "$schema", "default", "deprecated", "description", "example", "examples", "title"}
)
_KNOWN = {
    *(*_LOWER, *_UPPER, *_EXACT, *_WORDS_ONLY),
    *("$ref", "additionalProperties", "anyOf", "const", "enum", "items", "oneOf", "properties", "required", "type"),
}
_ANY = "anything"


@dataclass(frozen=True, slots=True)
class Sides:
    """Who stands on the other side of a schema."""

    writers: bool  # who sends what the schema describes: it must not take less
    readers: bool  # who receives it: it must not hold something new, nor lack what was there


REQUEST = Sides(writers=True, readers=False)
RESPONSE = Sides(writers=False, readers=True)
STORED = Sides(writers=True, readers=True)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two documents, and on which side of their schemas we look."""

    old: Mapping[str, Any]
    new: Mapping[str, Any]
    sides: Sides
    seen: frozenset[tuple[str, str]] = frozenset()

    def breaks(self, old: Schema | bool, new: Schema | bool, at: str) -> Iterator[str]:
        """What the change from one schema to the other breaks, each with its place."""
        pair = (_reference(old), _reference(new))
        if pair in self.seen:
            return
        within = replace(self, seen=self.seen | {pair}) if all(pair) else self
        before, after = branches(found(old, self.old), self.old), branches(found(new, self.new), self.new)
        if self.sides.writers and (lost := sorted(before.keys() - after.keys() - _covered(after))):
            yield f"{at}: may no longer be {', '.join(lost)}"
        if self.sides.readers and (gained := sorted(after.keys() - before.keys() - _covered(before))):
            yield f"{at}: may now be {', '.join(gained)} as well"
        for kind in sorted((before.keys() & after.keys()) - {"null"}):
            yield from within.of_one_kind(before[kind], after[kind], at)

    def of_one_kind(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        """The same for schemas of one type of JSON."""
        yield from self._values(old, new, at)
        yield from self._bounds(old, new, at)
        if "items" in old or "items" in new:
            yield from self.breaks(old.get("items", {}), new.get("items", {}), f"{at}[]")
        yield from self._fields(old, new, at)
        for word in sorted((old.keys() | new.keys()) - _KNOWN):
            if not word.startswith("x-") and old.get(word) != new.get(word):
                yield f"{at}: {word} has changed"

    def _values(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = _enumerated(old), _enumerated(new)
        if before == after:
            return
        if self.sides.writers and after is not None:
            if before is None:
                yield f"{at}: is one of {_list(after)} now"
            elif lost := [each for each in before if each not in after]:
                yield f"{at}: no longer takes {_list(lost)}"
        if self.sides.readers and before is not None:
            if after is None:
                yield f"{at}: is no longer one of {_list(before)}"
            elif gained := [each for each in after if each not in before]:
                yield f"{at}: may now be {_list(gained)}"

    def _bounds(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        for words, sign in ((_LOWER, 1), (_UPPER, -1)):
            for word in words:
                before, after = old.get(word), new.get(word)
                if before == after:
                    continue
                narrower = before is None or (after is not None and (after - before) * sign > 0)
                if self.sides.writers if narrower else self.sides.readers:
                    yield f"{at}: {word} was {_said(before)} and is {_said(after)}"
        for word in _EXACT:
            before, after = old.get(word), new.get(word)
            if before == after:
                continue
            narrower, wider = after is not None, before is not None
            if (self.sides.writers and narrower) or (self.sides.readers and wider):
                yield f"{at}: {word} was {_said(before)} and is {_said(after)}"

    def _fields(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before:
            if name in after:
                yield from self.breaks(before[name], after[name], f"{at}.{name}")
            else:
                yield f"{at}.{name}: is gone"
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        if self.sides.writers:
            yield from (f"{at}.{name}: is required now" for name in sorted(is_required - was_required))
        if self.sides.readers:
            lost = sorted((was_required - is_required) & after.keys())
            yield from (f"{at}.{name}: may be missing now" for name in lost)
        rest, rest_now = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if rest != rest_now:
            if rest_now is False:
                if self.sides.writers:
                    yield f"{at}: takes no other fields any more"
            elif rest is False:
                if self.sides.readers and rest_now is not True:
                    yield f"{at}: may have other fields now"
            else:
                yield from self.breaks(rest, rest_now, f"{at}.*")


def found(schema: Schema | bool, document: Mapping[str, Any]) -> Schema:
    """What a schema stands for, once its references are followed."""
    if isinstance(schema, bool):
        return {} if schema else {"enum": []}
    while "$ref" in schema:
        beside = {word: value for word, value in schema.items() if word != "$ref"}
        schema = {**resolve(document, schema["$ref"]), **beside}
    return schema


def resolve(document: Mapping[str, Any], reference: str) -> Any:
    """What a reference within the document leads to."""
    place: Any = document
    for step in reference.removeprefix("#/").split("/"):
        place = place[step.replace("~1", "/").replace("~0", "~")]
    return place


def branches(schema: Schema, document: Mapping[str, Any]) -> dict[str, Schema]:
    """The schema, taken apart by the kinds of value that it allows.

    Of several alternatives of one kind each has its title, or its place, in its name.
    """
    alternatives = schema.get("anyOf", schema.get("oneOf"))
    if alternatives is None:
        return dict.fromkeys(_kinds(schema), schema)
    outer = {word: value for word, value in schema.items() if word not in {"anyOf", "oneOf", "title"}}
    result: dict[str, Schema] = {}
    for alternative in alternatives:
        for kind, branch in branches({**outer, **found(alternative, document)}, document).items():
            title = branch.get("title")
            name = kind if kind not in result and not title else f"{kind} ({title or len(result)})"
            result[name] = branch
    return result


def _kinds(schema: Schema) -> list[str]:
    kind = schema.get("type")
    if isinstance(kind, list):
        return kind
    if kind is not None:
        return [kind]
    if (values := _enumerated(schema)) is not None:
        return sorted({_kind_of(value) for value in values})
    return [_ANY]


def _kind_of(value: object) -> str:
    names = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


def _covered(kinds: Mapping[str, Schema]) -> set[str]:
    """Kinds that are taken as well, though they are not named."""
    if _ANY in kinds:
        return {"null", "boolean", "integer", "number", "string", "array", "object"}
    return {"integer"} if "number" in kinds else set()


def _enumerated(schema: Schema) -> list[Any] | None:
    values: list[Any] | None = [schema["const"]] if "const" in schema else schema.get("enum")
    return values


def _reference(schema: Schema | bool) -> str:
    return "" if isinstance(schema, bool) else schema.get("$ref", "")


def _said(value: object) -> str:
    return "not set" if value is None else repr(value)


def _list(values: list[Any]) -> str:
    return ", ".join(map(repr, values))
