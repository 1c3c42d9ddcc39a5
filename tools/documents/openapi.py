"""What a change of the OpenAPI document breaks for those who call."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tools.documents.schemas import REQUEST, RESPONSE, Comparison, found

Document = Mapping[str, Any]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def breaks(old: Document, new: Document) -> Iterator[str]:
    """Each thing that worked by the old document and does not by the new one."""
    paths = {_shape(path): item for path, item in new["paths"].items()}
    for path, item in old["paths"].items():
        if _shape(path) not in paths:
            yield f"{path}: is gone"
            continue
        now = paths[_shape(path)]
        for method in _METHODS:
            if method in item and method not in now:
                yield f"{method.upper()} {path}: is gone"
            elif method in item:
                yield from _Operation(old, new, f"{method.upper()} {path}").breaks(item[method], now[method])


def _shape(path: str) -> str:
    """A path whatever its parameters are called."""
    return re.sub(r"\{[^}]*\}", "{}", path)


class _Operation:
    """One operation in both documents."""

    def __init__(self, old: Document, new: Document, name: str) -> None:
        self._old = old
        self._new = new
        self._name = name
        self._requests = Comparison(old, new, REQUEST)
        self._responses = Comparison(old, new, RESPONSE)

    def breaks(self, old: Document, new: Document) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{self._name}: operationId was {old.get('operationId')} and is {new.get('operationId')}"
        yield from self._parameters(old.get("parameters", []), new.get("parameters", []))
        yield from self._body(old.get("requestBody"), new.get("requestBody"))
        yield from self._answers(old.get("responses", {}), new.get("responses", {}))
        before, after = self._security(self._old, old), self._security(self._new, new)
        if wanted := [each for each in after if each not in before]:
            if {} not in after and before != after and not all(each in after for each in before if each):
                yield f"{self._name}: wants other credentials: {wanted}"
            elif {} in before and {} not in after:
                yield f"{self._name}: wants credentials now: {wanted}"

    def _security(self, document: Document, operation: Document) -> list[Any]:
        return operation.get("security", document.get("security", [])) or [{}]

    def _parameters(self, old: list[Any], new: list[Any]) -> Iterator[str]:
        before = dict(self._by_place(old, self._old))
        after = dict(self._by_place(new, self._new))
        for place, parameter in before.items():
            at = f"{self._name}, {' '.join(place)}"
            if place not in after:
                yield f"{at}: is gone"
                continue
            now = after[place]
            if now.get("required") and not parameter.get("required"):
                yield f"{at}: is required now"
            yield from self._requests.breaks(parameter.get("schema", {}), now.get("schema", {}), at)
        for place in sorted(after.keys() - before.keys()):
            if after[place].get("required"):
                yield f"{self._name}, {' '.join(place)}: is new and required"

    def _by_place(self, parameters: list[Any], document: Document) -> Iterator[tuple[tuple[str, str], Any]]:
        in_path = 0
        for given in parameters:
            parameter = found(given, document)
            if parameter["in"] == "path":  # by order: callers fill it in by its place
                in_path += 1
                yield ("path", str(in_path)), parameter
            else:
                yield (parameter["in"], parameter["name"]), parameter

    def _body(self, old: Document | None, new: Document | None) -> Iterator[str]:
        at = f"{self._name}, body"
        if old is None:
            if new is not None and found(new, self._new).get("required"):
                yield f"{at}: is new and required"
            return
        if new is None:
            yield f"{at}: is gone"
            return
        before, after = found(old, self._old), found(new, self._new)
        if after.get("required") and not before.get("required"):
            yield f"{at}: is required now"
        yield from self._content(self._requests, before, after, at)

    def _content(self, comparison: Comparison, old: Document, new: Document, at: str) -> Iterator[str]:
        for media_type, content in old.get("content", {}).items():
            if media_type not in new.get("content", {}):
                yield f"{at}: is no longer {media_type}"
                continue
            now = new["content"][media_type]
            yield from comparison.breaks(content.get("schema", {}), now.get("schema", {}), at)

    def _answers(self, old: Document, new: Document) -> Iterator[str]:
        for status, answer in old.items():
            at = f"{self._name}, {status}"
            if status not in new:
                yield f"{at}: is gone"
                continue
            before, after = found(answer, self._old), found(new[status], self._new)
            yield from self._content(self._responses, before, after, at)
            yield from self._headers(before.get("headers", {}), after.get("headers", {}), at)
        for status in sorted(new.keys() - old.keys()):
            # Whoever calls reads those; refusals may be added, and so may 304, which only those get who ask for it.
            if status.startswith(("2", "3")) and status != "304":
                yield f"{self._name}, {status}: is a new success"

    def _headers(self, old: Document, new: Document, at: str) -> Iterator[str]:
        now = {name.lower(): header for name, header in new.items()}
        for name, header in old.items():
            if name.lower() not in now:
                yield f"{at}, header {name}: is gone"
                continue
            before, after = found(header, self._old), found(now[name.lower()], self._new)
            if before.get("required") and not after.get("required"):
                yield f"{at}, header {name}: may be missing now"
            yield from self._responses.breaks(before.get("schema", {}), after.get("schema", {}), f"{at}, header {name}")
