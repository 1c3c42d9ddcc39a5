"""What a line of text from outside may contain."""

import unicodedata

from domain.model.errors import InvalidValue

# Cc controls, Cf invisible formatting (bidirectional overrides …), Cs lone surrogates, Zl and Zp line breaks: each can
# forge a log line, a mail header or what a person reads on a page. Zero-width joiners are legitimate parts of names and
# emoji.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset({"\u200c", "\u200d"})


def one_line(value: str, *, what: str, most: int, least: int = 1) -> str:
    """Return ``value`` without outer blanks, or raise `InvalidValue` naming ``what`` is wrong with it.

    ``least`` and ``most`` bound its length in characters.
    """
    if not value.isascii() or not value.isprintable():
        for character in value:
            if unicodedata.category(character) in _REFUSED_CATEGORIES and character not in _JOINERS:
                raise InvalidValue(f"{what} must not contain control or invisible characters.")
    value = value.strip()
    if not least <= len(value) <= most:
        raise InvalidValue(f"{what} must have {least} to {most} characters.")
    return value
