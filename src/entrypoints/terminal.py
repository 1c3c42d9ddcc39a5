"""Texts of others on a screen."""


def printable(text: str) -> str:
    """The text without characters that move the cursor, colour the screen or begin a line: they are written out."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "backslashreplace").decode() for sign in text
    )
