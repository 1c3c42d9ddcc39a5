"""HTML in which every value is escaped, and every sign that cannot be seen can."""

import unicodedata
from collections.abc import Iterable
from typing import LiteralString

from markupsafe import Markup, escape

from entrypoints.terminal import printable

_LINES = "\n\t"


def html(template: LiteralString, **values: object) -> Markup:
    """A template with its values: texts as `seen` shows them, HTML as it is, of several one after the other.

    Between quotes, as the value of an attribute, wants `attribute`.
    """
    pieces = {name: _piece(value) for name, value in values.items()}
    return Markup(template).format(**pieces)  # noqa: S704 - the type says that it stands in our own code


def seen(text: str, *, lines: bool = False) -> Markup:
    """A text of others: escaped, set apart from the direction of what is around it, with what is invisible written out.

    With ``lines`` ends of lines and tabs stay what they are.
    """
    kept = _LINES if lines else ""
    pieces: Iterable[Markup] = [escape(text)]
    if not text.isprintable():
        pieces = (escape(sign) if sign.isprintable() or sign in kept else _written_out(sign) for sign in text)
    told = Markup().join(pieces)
    return told if text.isascii() else Markup("<bdi>{}</bdi>").format(told)


def attribute(text: str) -> Markup:
    """The same for the value of an attribute that people are shown."""
    return escape(printable(text))


def given(text: str) -> Markup:
    """A text as the value of an attribute that comes back as it is."""
    return escape(text)


def _written_out(sign: str) -> Markup:
    name = unicodedata.name(sign, "")
    told = f"U+{ord(sign):04X} {name}".rstrip()
    return Markup('<span class="sign" title="{}">{}</span>').format(told, printable(sign))


def _piece(value: object) -> Markup:
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return seen(value)
    if isinstance(value, Iterable):
        return Markup().join(map(_piece, value))
    return escape(value)
