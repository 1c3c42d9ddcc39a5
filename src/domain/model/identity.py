"""Identities of what we keep and tell of."""

import re
from uuid import UUID, SafeUUID

_is_canonical = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_set = object.__setattr__  # a UUID is never changed, and says so to who tries


class Identity(UUID):
    """A UUID that keeps its text, by which rows and messages know it: each is written nine times on its way.

    It equals every UUID of its number. `ValueError` for a text that is none.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if _is_canonical(text) is None:
            text = str(UUID(text))
        _set(self, "int", int(text.replace("-", ""), 16))
        _set(self, "is_safe", SafeUUID.unknown)
        _set(self, "_text", text)

    def __str__(self) -> str:
        return self._text  # type: ignore[attr-defined,no-any-return]

    def __reduce__(self) -> tuple[type["Identity"], tuple[str]]:
        return Identity, (str(self),)
