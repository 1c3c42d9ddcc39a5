"""Settings that stand in files: one that ``NAME_FILE`` names, or one of a folder such as ``/run/secrets``."""

from collections.abc import Collection, Mapping
from pathlib import Path

SUFFIX = "_FILE"
FORM = "a text file of one line, at most 64 KiB"
_LARGEST = 65_536


class Unreadable(Exception):
    """A file holds no value; the message says why, with nothing of what it holds and not its path.

    A path is not repeated because it may be the secret itself, given by mistake.
    """


def value_in(path: Path) -> str:
    """The value that a file holds: its text, without one line end at the end of it."""
    try:
        if not path.exists():
            raise Unreadable("does not exist")
        if not path.is_file():
            raise Unreadable("is no regular file")  # of a pipe nobody knows when it ends
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read ({type(error).__name__})") from None
    if len(content) > _LARGEST:
        raise Unreadable("is larger than 64 KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("is no text in UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise Unreadable("is empty")
    if text.splitlines() != [text] or "\0" in text:
        raise Unreadable("holds more than one line")
    return text


def files_in(folder: Path) -> Mapping[str, tuple[Path, ...]]:
    """The files of a folder by the settings that they may be named after, in capitals or in small letters."""
    found: dict[str, tuple[Path, ...]] = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.name in {path.name.upper(), path.name.lower()}:
                name = path.name.upper()
                found[name] = (*found.get(name, ()), path)
    except OSError as error:
        raise Unreadable(f"is no folder that can be read here ({type(error).__name__})") from None
    return found


def with_files(names: Collection[str]) -> set[str]:
    """The names of settings and of the variables that may name a file for each."""
    return {*names, *(f"{name}{SUFFIX}" for name in names)}
