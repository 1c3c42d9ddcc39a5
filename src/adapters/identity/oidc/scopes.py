"""Which claims of a token say what its owner may do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

SCOPES_MOST = 1_000


def scopes_in(claims: Mapping[str, Any], paths: Sequence[str]) -> frozenset[str]:
    """All that the claims at these paths allow: texts of words between blanks, or lists of words.

    A path is the name of a claim, or names joined by dots for a claim within others; a name may have dots of its own
    (``https://example.com/roles``). What has another shape says nothing.
    """
    found = (word for path in paths for value in _at(claims, path) for word in _words(value))
    return frozenset(word for word, _ in zip(found, range(SCOPES_MOST), strict=False))


def _at(claims: Mapping[str, Any], path: str) -> Iterator[Any]:
    if path in claims:
        yield claims[path]
        return
    end = path.rfind(".")
    while end > 0:
        inner = claims.get(path[:end])
        if isinstance(inner, dict):
            yield from _at(inner, path[end + 1 :])
            return
        end = path.rfind(".", 0, end)


def _words(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return value.split(" ")
    if isinstance(value, list):
        return (word for word in value if isinstance(word, str))
    return ()
