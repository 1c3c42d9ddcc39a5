"""Keeps secrets out of log lines: by the name of a field, by the look of a text, and by the secrets themselves.

Mail addresses are kept out too, since they are of persons: ``a***@example.com`` is what is left of one.
"""

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from structlog.typing import EventDict

HIDDEN = "***"
_DEPTH_MOST = 10
_NO_ADDRESS = "mail_id"  # of a mail: it looks like an address, and is nobody's
_SECRET_LEAST = 6  # shorter ones are parts of words and would make lines unreadable

_NAME = r"(?:[a-z0-9]+[_-])*(?:token|password|passwd|pwd|secret|authorization|appid|api[_-]?key|cookie|credentials?)"
_SECRET_NAME = re.compile(rf"(?:.*\.)?(?:{_NAME}|set-cookie)", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^\s/?#'\"]*@")
_PARAMETER = re.compile(rf"(?<![\w-])({_NAME})=[^\s&;,'\"]+", re.IGNORECASE)
# The first character and the domain stay. The part before the @ is bounded, so that no text takes long.
_MAIL_ADDRESS = re.compile(
    r"""(?<![^\s<>()\[\]{}"',:;=/\\])([^\s<>()\[\]{}"',:;=/\\@*])[^\s<>()\[\]{}"',:;=/\\@*]{0,127}?"""
    r"""((?:@|%40)(?:[^\W_][\w-]{0,62}\.){1,8}(?:xn--[\w-]{2,59}|[^\W\d_]{2,63}))""",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"[^@=% ]*")  # in what is all of this there is nothing to mask
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE)


class Redact:
    """Masks what is named like a secret, and what looks like one inside of texts; a processor of structlog.

    On the lines of the logger ``addresses_of`` mail addresses stay.
    """

    def __init__(self, *, addresses_of: str | None = None) -> None:
        self._addresses_of = addresses_of

    def __call__(self, _: object, __: str, event: EventDict) -> EventDict:
        mails = _without_secrets if event.get("logger") == self._addresses_of else redact_text
        for name, value in event.items():
            kind = type(value)
            if kind is int or kind is float or (kind is str and _HARMLESS.fullmatch(value) and not _is_secret(name)):
                continue  # most values are so, and each request has a line of them
            text_of = _without_secrets if name == _NO_ADDRESS else mails
            event[name] = HIDDEN if _is_secret(name) and value else _redacted(value, text_of)
        return event


def redact_text(text: str) -> str:
    """Mask users and passwords in addresses, parameters that are named like secrets, bearer tokens, mail addresses."""
    text = _without_secrets(text)
    if "@" in text or "%40" in text:
        text = _MAIL_ADDRESS.sub(rf"\1{HIDDEN}\2", text)
    return text


def _without_secrets(text: str) -> str:
    if "@" in text:
        text = _USERINFO.sub(f"{HIDDEN}@", text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\1={HIDDEN}", text)
    if " " in text:
        text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return text


def redacted(value: Any, also: Callable[[str], str] = str) -> Any:
    """The same of a whole document, with what ``also`` makes of each of its texts."""
    return _redacted(value, lambda text: also(redact_text(text)))


def as_text(value: object) -> str:
    """What an object says of itself; never raises."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__qualname__} without words>"


class Hidden:
    """Masks the very secrets that the process was given, in whatever form they got into a finished line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {
            form
            for secret in secrets
            if len(secret) >= _SECRET_LEAST
            for form in (
                secret,
                quote(secret, safe=""),
                quote_plus(secret),
                json.dumps(secret)[1:-1],
                repr(secret)[1:-1],
            )
        }
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, _: object, __: str, line: Any) -> str:
        return self.text(line)

    def text(self, text: str) -> str:
        """The text without them."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.fullmatch(name) is not None


def _redacted(value: Any, text_of: Callable[[str], str], depth: int = 0) -> Any:
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, dict) and depth < _DEPTH_MOST:
        return {
            name: HIDDEN
            if isinstance(name, str) and _is_secret(name) and inner
            else _redacted(inner, text_of, depth + 1)
            for name, inner in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)) and depth < _DEPTH_MOST:
        return [_redacted(inner, text_of, depth + 1) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float)) else text_of(as_text(value))
